"""RQ with its defaults."""

import os
import sys

import ticks
from redis import Redis
from rq import Queue

if __name__ == "__main__":
    queue = Queue(connection=Redis.from_url(os.environ["BENCH_REDIS"]))
    task, argument = getattr(ticks, sys.argv[1]), ticks.argument(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        queue.enqueue(task, argument)
