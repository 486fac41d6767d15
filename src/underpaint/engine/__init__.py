"""The engine: jobs, the scheduler, the loop, and the process that it runs in. Importing it does not load torch."""
