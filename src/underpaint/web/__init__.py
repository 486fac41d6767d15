"""The playground: static pages that the server shows to browsers. They talk the task API, and nothing else."""
