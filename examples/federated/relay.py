"""Flower app that carries the messages of a federated fit between the coordinator and the sites.

It runs in Flower's own environment and imports nothing of tabsynth: it passes on byte strings, which a relay cannot
read (sealed shares, masked sums). At each site, ``tabsynth.federated.serve_site`` listens at a Unix socket, whose
path and site name are in the SuperNode's node configuration. At the coordinator, this app opens one socket for each
site in the folder of the run configuration, and ``tabsynth.federated.SocketTransport`` sends to them.
"""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

client = ClientApp()
server = ServerApp()


@client.query("name")
def name(message: Message, context: Context) -> Message:
    """Return the site's name."""
    return Message(RecordDict({"answer": ConfigRecord({"site": str(context.node_config["site"])})}), reply_to=message)


@client.query("forward")
def forward(message: Message, context: Context) -> Message:
    """Pass a message to the site's process and return its answer."""
    with Client(str(context.node_config["socket"]), "AF_UNIX") as connection:
        connection.send_bytes(message.content["message"]["bytes"])
        answer = connection.recv_bytes()
    return Message(RecordDict({"answer": ConfigRecord({"bytes": answer})}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Open a socket for each site, and relay until the file ``done`` is in the folder."""
    folder, wait = Path(str(context.run_config["folder"])), float(context.run_config["timeout"])
    sites = str(context.run_config["sites"]).split(",")
    nodes = find_nodes(grid, sites, wait)
    os.umask(0o177)
    listeners = {site: Listener(str(folder / f"{site}.socket"), "AF_UNIX") for site in sites}
    for site, listener in listeners.items():
        Thread(target=relay, args=(grid, listener, nodes[site], wait), daemon=True).start()
    (folder / "ready").touch()
    while not (folder / "done").exists():
        time.sleep(0.2)
    for listener in listeners.values():
        listener.close()


def find_nodes(grid: Grid, sites: list[str], wait: float) -> dict[str, int]:
    """Return the node of each site, once all are connected."""
    nodes: dict[str, int] = {}
    while set(sites) - set(nodes):
        unknown = [node for node in grid.get_node_ids() if node not in nodes.values()]
        questions = [Message(RecordDict(), dst_node_id=node, message_type="query.name") for node in unknown]
        for answer in grid.send_and_receive(questions, timeout=wait) if questions else ():
            if not answer.has_error():
                nodes[str(answer.content["answer"]["site"])] = answer.metadata.src_node_id
        time.sleep(0.5)
    return nodes


def relay(grid: Grid, listener: Listener, node: int, wait: float) -> None:
    """Carry messages from a socket to a node, and the answers back; without one the connection closes."""
    while True:
        try:
            connection = listener.accept()
        except OSError:  # closed at the end
            return
        with connection:
            content = RecordDict({"message": ConfigRecord({"bytes": connection.recv_bytes()})})
            question = Message(content, dst_node_id=node, message_type="query.forward")
            for answer in grid.send_and_receive([question], timeout=wait):
                if not answer.has_error():
                    connection.send_bytes(answer.content["answer"]["bytes"])
