"""A Flask app whose requests, each in a thread of its own, read what they have written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, request

import hume

STORE = hume.EventStoreActor


class Guestbook(hume.Projection[dict[str, list[str]]], store=STORE):
    """The notes of each guest."""

    def init_state(self, projection: Any) -> dict[str, list[str]]:
        return {}

    def handle_event(self, event: Any, notes: dict[str, list[str]]) -> dict[str, list[str]] | None:
        match event:
            case ("signed", guest, note):
                notes.setdefault(guest, []).append(note)
                return notes
        return None


def create_app() -> Flask:
    STORE.start_link()
    hume.start_link(Guestbook, stream="guestbook", name="guestbook")
    app = Flask(__name__)

    @app.post("/notes/<guest>")
    def sign(guest: str) -> tuple[dict[str, Any], int]:
        seq = hume.publish(STORE, "guestbook", ("signed", guest, request.get_data(as_text=True)))
        # only the answer is copied; the state may be large
        mine = hume.query("guestbook", lambda notes: notes[guest])
        return {"seq": seq, "notes": mine}, 201

    @app.get("/notes/<guest>")
    def read(guest: str) -> dict[str, Any]:
        # Whoever was told a number by another process can say how new an answer must be; 0: any will do.
        at_least = request.args.get("at_least", 0, int)
        snapshot = hume.snapshot("guestbook", at_least=at_least)
        return {"seq": snapshot.seq, "notes": snapshot.state.get(guest, [])}

    @app.errorhandler(hume.Timeout)
    def busy(error: hume.Timeout) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 503

    return app


def main() -> None:
    app = create_app()

    def visit(guest: str) -> int:
        """Sign ten times; each answer has all that this guest has written."""
        client = app.test_client()
        for number in range(1, 11):
            answer = client.post(f"/notes/{guest}", data=f"note {number}")
            assert answer.get_json()["notes"] == [f"note {one}" for one in range(1, number + 1)]
        return number

    with ThreadPoolExecutor(4) as pool:
        notes = sum(pool.map(visit, ("ann", "bob", "cat", "dan")))
    print(f"{notes} notes were written, and each was in the answer to its request")

    client = app.test_client()
    answer = client.get("/notes/ann?at_least=40")
    print("GET:", answer.status, len(answer.get_json()["notes"]), "notes")
    assert answer.status_code == 200

    with_wait = client.get("/notes/ann?at_least=0")
    assert with_wait.get_json() == answer.get_json()


if __name__ == "__main__":
    main()
