"""The service as it runs: uvicorn, a real socket."""

import httpx


def test_a_task_is_created_over_a_socket(server: str) -> None:
    with httpx.Client(base_url=server) as client:
        created = client.post("/tasks", json={"title": "first"})
        assert created.status_code == 201
        assert client.get(created.headers["location"]).json() == created.json()
        assert client.get("/health/ready").status_code == 200
