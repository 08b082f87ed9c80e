"""Actors: OTP on Pykka. Servers, names, links, monitors, supervisors, tables and heirs; of use without events too."""

from hume.actors._application import Application, application, stop_application
from hume.actors._calls import kill, stop
from hume.actors._child import ChildCounts, ChildInfo
from hume.actors._child_spec import Backoff, ChildSpec
from hume.actors._clock import Clock, SystemClock
from hume.actors._dynamic_supervisor import DynamicSupervisor
from hume.actors._gen_server import NO_REPLY, GenServer, Ignore, Stop
from hume.actors._heir import HeirActor
from hume.actors._mailbox import Reply, Timer
from hume.actors._named_ref import NamedRef, ref
from hume.actors._registry import Server, whereis
from hume.actors._signals import Crash, Down, Exit
from hume.actors._supervisor import Supervisor
from hume.actors._table import Table, Transfer
from hume.actors._tree import Node, tree

__all__ = [
    "NO_REPLY",
    "Application",
    "Backoff",
    "ChildCounts",
    "ChildInfo",
    "ChildSpec",
    "Clock",
    "Crash",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "GenServer",
    "HeirActor",
    "Ignore",
    "NamedRef",
    "Node",
    "Reply",
    "Server",
    "Stop",
    "Supervisor",
    "SystemClock",
    "Table",
    "Timer",
    "Transfer",
    "application",
    "kill",
    "ref",
    "stop",
    "stop_application",
    "tree",
    "whereis",
]
