"""Accounts in a SQLite file. A transfer books both accounts or none, also when the process is killed in the middle.

Run it twice, and it goes on where it was. `--crash` has it kill itself while the tellers work; run it again after that.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

import hume
from hume.stores import SQLiteEventStore

ACCOUNTS = [f"account-{name}" for name in ("ann", "bob", "cat", "dan")]
CENTS = 100_00  # that each begins with
TRANSFERS = 50  # of each teller


@hume.event("booked")  # the name that stands in the file, so that the class may be moved and renamed
@dataclass(frozen=True)
class Booked:
    cents: int  # less than 0: withdrawn


State = dict[Any, tuple[int, int]]  # of each account what it holds, and the number of its last event


class Balances(hume.Projection[State], store=SQLiteEventStore):
    def init_state(self, projection: Any) -> State:
        return {}

    def handle_recorded(self, event: hume.Event, state: State) -> State | None:
        balance, _ = state.get(event.stream, (0, 0))
        match event.payload:
            case Booked(cents):
                return {**state, event.stream: (balance + cents, event.seq)}
        return None


def transfer(bank: Any, payer: str, payee: str, cents: int) -> None:
    while True:
        balance, seq = hume.state("balances")[payer]
        if balance < cents:
            return  # too little
        try:  # if the payer's last event is still that one, so that nobody can have spent the money meanwhile
            bank.append_many([(payer, [Booked(-cents)], seq), (payee, [Booked(cents)], None)]).get()
        except hume.UnexpectedSequence:
            continue  # another teller was faster: look again
        return


def work(bank: Any, progress: threading.Semaphore) -> None:
    for _ in range(TRANSFERS):
        payer, payee = random.sample(ACCOUNTS, 2)
        transfer(bank, payer, payee, random.randint(1, CENTS // 2))  # noqa: S311 - no secret
        progress.release()


def check_the_books(bank: Any) -> None:
    state, last = hume.state("balances"), bank.last_position().get()
    balances = [balance for balance, _ in state.values()]
    print(f"after {last} events: {sum(balances)} cents in {len(balances)} accounts, {min(balances)} or more in each")
    assert sum(balances) == CENTS * len(ACCOUNTS)  # no half of a transfer
    assert min(balances) >= 0
    assert sum(seq for _, seq in state.values()) == last  # each event is in the balances


def main() -> None:
    bank: Any = SQLiteEventStore.start_link("bank.db").proxy()
    if bank.last_position().get() == 0:
        bank.append_many([(account, [Booked(CENTS)], 0) for account in ACCOUNTS]).get()
    hume.start_link(Balances, stream=hume.prefix("account-"), projection="balances", name="balances")
    check_the_books(bank)
    print("events replayed, after the last snapshot:", hume.status("balances").events_applied)
    progress = threading.Semaphore(0)
    tellers = [threading.Thread(target=work, args=(bank, progress), daemon=True) for _ in range(2)]
    for teller in tellers:
        teller.start()
    for _ in range(TRANSFERS):
        progress.acquire()
    if "--crash" in sys.argv:
        print("killing myself", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    for teller in tellers:
        teller.join()
    check_the_books(bank)


if __name__ == "__main__":
    main()
