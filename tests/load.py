"""Clients that ask a real server for as long as a test lets them."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter


class Load:
    """Clients that create tasks, each on a connection that it keeps, until they are stopped."""

    def __init__(self, place: str, clients: int = 8) -> None:
        self.host, _, port = place.partition(":")
        self.port = int(port)
        self.created: list[str] = []
        self.statuses: Counter[int] = Counter()  # 0: there was no answer
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, client: int) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        for number in itertools.count():
            if self.stopped.is_set():
                break
            title = f"{client}-{number}"
            try:
                body = json.dumps({"title": title})
                connection.request("POST", "/tasks", body, {"content-type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                connection.close()
                time.sleep(0.05)
                continue
            self.statuses[response.status] += 1
            if response.status == 201:
                self.created.append(title)
        connection.close()

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()
