"""Measurements that anyone can repeat: each module is one command, and prints one JSON document."""

from underpaint.engine.threads import let_threads_sleep

# How threads wait is settled when torch is loaded, which importing any of the modules does.
let_threads_sleep()
