"""Runs img2dataset by its own public function. A script for an interpreter that has it and may not have us.

Names are connected to as the build was told (--connect-to), and addresses that are not public are refused:
by itself the package fetches from whatever machine a URL names.
"""

import ipaddress
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

CONNECT_TO = "OPENWIT_CONNECT_TO"


def main(path: str) -> None:
    """Fetch as the arguments in a file of JSON say."""
    connect_as_told()
    from img2dataset import download

    download(**json.loads(Path(path).read_text()))


def connect_as_told() -> None:
    """Let urllib connect to where names are really served, and otherwise to public addresses alone."""
    places = dict(entry.lower().split("=", 1) for entry in json.loads(os.environ[CONNECT_TO]))
    connect = socket.create_connection

    def connect_to(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        host, port = address[0].lower(), address[1]
        if place := places.get(host) or places.get(f"*.{host.partition('.')[2]}"):
            found, _, told_port = place.rpartition(":")
            return connect((found, int(told_port)), *rest, **options)
        found = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        if not ipaddress.ip_address(found).is_global:
            raise OSError(f"{found} is not a public address")
        return connect((found, port), *rest, **options)

    socket.create_connection = connect_to  # type: ignore[assignment]


if __name__ == "__mp_main__":  # its own worker processes, which load this file anew
    connect_as_told()
if __name__ == "__main__":
    main(sys.argv[1])
