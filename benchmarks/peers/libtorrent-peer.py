# One libtorrent peer: takes JSON lines, says JSON lines, and ends when its input does.
import json
import os
import sys
import threading
import time

import libtorrent

MESH_SECONDS = 15

config = json.loads(sys.argv[1])
settings = libtorrent.high_performance_seed()
settings.update(
    {
        "listen_interfaces": config["listen"],
        "enable_dht": False,
        "enable_lsd": False,
        "enable_natpmp": False,
        "enable_upnp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        # Plain text only.
        "in_enc_policy": 2,
        "out_enc_policy": 2,
        "alert_mask": libtorrent.alert.category_t.status_notification,
    }
)
session = libtorrent.session(settings)
torrent = None


def say(what):
    print(json.dumps({"said": what, "at": time.time_ns() // 1_000_000}), flush=True)


def add():
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(config["torrent"])
    params.save_path = config["dir"]
    flags = libtorrent.torrent_flags
    params.flags &= ~(flags.paused | flags.auto_managed)
    if config["seed"]:
        params.flags |= flags.seed_mode
    return session.add_torrent(params)


def obey():
    global torrent
    for line in sys.stdin:
        order = json.loads(line)
        torrent = torrent or add()
        for host, port in order["connect"]:
            torrent.connect_peer((host, port))
        if config["seed"]:
            continue
        end = time.monotonic() + MESH_SECONDS
        while torrent.status().num_peers < order["peers"] and time.monotonic() < end:
            time.sleep(0.05)
        say("connected")
    os._exit(0)


if not config["seed"]:
    torrent = add()
threading.Thread(target=obey, daemon=True).start()
say("listening")
while True:
    if session.wait_for_alert(1000) is None:
        continue
    for alert in session.pop_alerts():
        if isinstance(alert, libtorrent.torrent_finished_alert) and not config["seed"]:
            say("finished")
