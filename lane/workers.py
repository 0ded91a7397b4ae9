"""Processes that work through items; one that crashes or hangs costs its item alone."""
import multiprocessing
import time
from multiprocessing.connection import wait


class Lost:
    """Instead of a result: why there is none."""

    def __init__(self, reason):
        self.reason = reason


class Worker:
    """A process that answers items with results, over a pipe."""

    def __init__(self, function):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(function, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.item, self.since = None, 0.0

    def give(self, item):
        self.item, self.since = item, time.monotonic()
        self.pipe.send(item)

    def end(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def serve(function, pipe):
    """The life of a worker."""
    while (item := pipe.recv()) is not None:
        try:
            result = function(item)
        except Exception as error:
            result = Lost(f"{type(error).__name__}: {error}")
        pipe.send(result)


def each(function, items, jobs, seconds):
    """Yields `(item, result)` as they come; the result is `Lost` when the worker crashed or took longer than `seconds`.

    `function` is a picklable function of one item.
    """
    waiting = iter(items)
    idle, busy = [Worker(function) for _ in range(jobs)], []
    try:
        while True:
            while idle and (item := next(waiting, None)) is not None:
                worker = idle.pop()
                worker.give(item)
                busy.append(worker)
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy], timeout=1)
            for worker in list(busy):
                late = time.monotonic() - worker.since > seconds
                if worker.pipe not in ready and not late:
                    continue
                item, busy = worker.item, [other for other in busy if other is not worker]
                result = answer(worker) if worker.pipe in ready else Lost(f"took longer than {seconds} s")
                if isinstance(result, Lost) and (late or not worker.process.is_alive()):
                    worker.end()
                    worker = Worker(function)
                idle.append(worker)
                yield item, result
    finally:
        for worker in idle + busy:
            worker.end()


def answer(worker):
    """The result a worker sent, or that it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        return Lost(f"crashed, exit code {worker.process.exitcode}")
