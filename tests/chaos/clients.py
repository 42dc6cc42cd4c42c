"""The clients: threads that submit what the seed has drawn, and steer some of it."""

import queue
import threading
import time

from . import http_client, python_client
from .workload import Order, Steering, Via
from .world import LOOK, World

HTTP_CLIENTS = 4
PYTHON_CLIENTS = 2
WINDOW = 60  # jobs under way at once; so faults meet a working service and not only a long queue
RUNNING_OR_ENDED = ("STARTED", "PROGRESS", "SUCCESS", "FAILURE", "REVOKED")
ENDED = ("SUCCESS", "FAILURE", "REVOKED")


class Clients:
    """Deals the orders out to threads: in order, to whoever is free, so that a slow one holds nobody up."""

    def __init__(self, world: World, orders: list[Order]) -> None:
        self._world = world
        self._steered: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._by_door: dict[bool, queue.SimpleQueue[Order]] = {True: queue.SimpleQueue(), False: queue.SimpleQueue()}
        for order in orders:
            for wanted in order.jobs:
                world.book.expect(wanted)
            self._by_door[order.via is Via.PYTHON].put(order)
        self._submitters = [
            threading.Thread(target=self._submit, args=(in_python,), name=f"client-{number}", daemon=True)
            for in_python, count in ((False, HTTP_CLIENTS), (True, PYTHON_CLIENTS))
            for number in range(count)
        ]
        self._steerer = threading.Thread(target=self._steer, name="steerer", daemon=True)

    def start(self) -> None:
        """Start submitting."""
        for thread in (*self._submitters, self._steerer):
            thread.start()

    def join_submitters(self, patience: float) -> None:
        """Wait until everything is submitted."""
        deadline = time.monotonic() + patience
        for thread in self._submitters:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._world.book.surprise(f"{thread.name} could not submit everything within {patience:g} s")
        self._steered.put(None)

    def join_steerer(self, patience: float) -> None:
        """Wait until everything that is to be steered was."""
        self._steerer.join(patience)
        if self._steerer.is_alive():
            self._world.book.surprise("not everything could be cancelled or retried in time")

    def _submit(self, in_python: bool) -> None:
        world, mine = self._world, self._by_door[in_python]
        send = python_client.submit if in_python else http_client.submit
        while world.book.wait_for_room(WINDOW, world.stop_all):
            try:
                order = mine.get_nowait()
            except queue.Empty:
                return
            if send(world, order):
                world.book.accept(order.jobs)
                if order.steering is not None:
                    self._steered.put(order)
            else:
                world.book.give_up(order.jobs)

    def _steer(self) -> None:
        """Steer each order when its time has come; look round and round at those whose time has not."""
        pending: list[Order] = []
        more = True
        while (more or pending) and not self._world.stop_all.is_set():
            try:
                order = self._steered.get(timeout=LOOK)
                more = more and order is not None
                pending += [order] if order is not None else []
            except queue.Empty:
                pass
            pending = [order for order in pending if not self._steered_now(order)]

    def _steered_now(self, order: Order) -> bool:
        """Steer an order if it is time; its first job stands for all."""
        job_id = order.jobs[0].id
        if order.steering is Steering.CANCEL:
            http_client.cancel(self._world, order.jobs[-1].id if order.kind == "chord" else job_id)
            return True
        state = http_client.state_of(self._world, job_id)
        if order.steering is Steering.CANCEL_RUNNING:
            if state not in RUNNING_OR_ENDED:
                return False
            http_client.cancel(self._world, job_id)
            return True
        if state not in ENDED:
            return False
        http_client.retry(self._world, job_id)
        return True
