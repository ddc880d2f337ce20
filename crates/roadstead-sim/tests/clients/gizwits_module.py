"""A GizWits module on plain sockets and paho-mqtt 1.5.1 (MQTT 3.1), driven by the tests.

Prints one JSON object a line. HTTP like GAgent 04020006: one request per connection, one recv of
1024 bytes is the whole answer. `--raw` reads MQTT the same way: one recv is one packet, what
follows it in the same recv would be lost, and is an error here.
"""

import argparse
import json
import socket
import struct
import sys
import threading

import paho.mqtt.client as mqtt

STATUS = bytes.fromhex("0305fe800a0301194602 00".replace(" ", ""))


def say(**fields):
    print(json.dumps(fields), flush=True)


def fail(why):
    say(event="failed", why=why)
    sys.exit(1)


def call(address, method, path, body):
    """Sends a request as the module spells it; returns status and body of one recv."""
    host, port = address.rsplit(":", 1)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    else:
        head += "Cache-Control: no-cache\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    with socket.create_connection((host, int(port)), 10) as sock:
        sock.sendall((head + body).encode())
        text = sock.recv(1024).decode()
    answer_head, answer_body = text.split("\r\n\r\n", 1)
    length = [l for l in answer_head.split("\r\n") if l.startswith("Content-Length: ")]
    if not length or int(length[0].split(" ")[1]) != len(answer_body):
        fail(f"the answer is not in one segment: {text!r}")
    return int(text.split(" ")[1]), answer_body


def field(body, name):
    """Reads a value as the module does: everything up to the `&` that must follow."""
    start = body.index(name + "=") + len(name) + 1
    return body[start : body.index("&", start)]


def frame(cmd, payload):
    return b"\0\0\0\3" + bytes([3 + len(payload)]) + b"\0" + struct.pack(">H", cmd) + payload


def answer_to(payload):
    """Returns what module and MCU answer to a frame of the platform."""
    if payload[:4] != b"\0\0\0\3" or payload[4] != len(payload) - 5:
        fail(f"no frame: {payload.hex()}")
    cmd, rest = struct.unpack(">H", payload[6:8])[0], payload[8:]
    if cmd != 0x93:
        return None, b""
    sn, p0 = rest[:4], rest[4:]
    say(event="p0", p0=p0.hex())
    return frame(0x94, sn + (STATUS if p0[0] == 2 else b"")), p0


def paho(args, did, host, port):
    subscribed = []
    topics = [f"ser2cli_noti/{args.product}", f"ser2cli_res/{did}", f"app2dev/{did}/#"]
    done = threading.Event()
    left = [args.requests]

    def on_connect(client, userdata, flags, rc):
        say(event="connected", rc=rc)
        if rc != 0:
            client.disconnect()
            done.set()
            return
        client.subscribe(topics[0], 0)

    def on_subscribe(client, userdata, mid, granted):
        subscribed.append(granted[0])
        if len(subscribed) < len(topics):
            client.subscribe(topics[len(subscribed)], 0)
            return
        client.publish(f"dev2app/{did}", frame(0x91, b"\x04" + STATUS[1:]), 0)
        client.publish("cli2ser_req", bytes.fromhex("00000003020f"), 0)

    def on_message(client, userdata, message):
        if message.topic == topics[1]:
            say(event="ready", granted=subscribed, clients=message.payload.hex())
            return
        answer, p0 = answer_to(message.payload)
        if answer is None:
            return
        client.publish(message.topic.replace("app2dev", "dev2app", 1), answer, 0)
        left[0] -= 1
        if left[0] == 0:
            done.set()

    client = mqtt.Client(client_id=did, clean_session=True, protocol=mqtt.MQTTv31)
    client.username_pw_set(did, args.passcode)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect(host, port, 120)
    client.loop_start()
    if not done.wait(30):
        say(event="timeout")
        sys.exit(1)
    # What was published last leaves before the end.
    client.disconnect()
    client.loop_stop()


def text(data):
    return struct.pack(">H", len(data)) + data.encode()


def publish(topic, payload):
    body = text(topic) + payload
    return bytes([0x30, len(body)]) + body


def raw(args, did, host, port):
    sock = socket.create_connection((host, port), 10)

    def packet():
        data = sock.recv(1024)
        length, shift, at = 0, 0, 1
        while True:
            length |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                break
        if at + length != len(data):
            fail(f"one recv is not one packet: {data.hex()}")
        return data[0], data[at:]

    body = text("MQIsdp") + bytes([3, 0xC2, 0, 120]) + text(did) + text(did) + text(args.passcode)
    sock.sendall(bytes([0x10, len(body)]) + body)
    kind, rest = packet()
    say(event="connected", rc=rest[1])
    topics = [f"ser2cli_noti/{args.product}", f"ser2cli_res/{did}", f"app2dev/{did}/#"]
    for n, topic in enumerate(topics):
        body = struct.pack(">H", n + 1) + text(topic) + b"\0"
        sock.sendall(bytes([0x82, len(body)]) + body)
        kind, rest = packet()
        if (kind, rest) != (0x90, struct.pack(">H", n + 1) + b"\0"):
            fail(f"SUBACK {rest.hex()}")
    # Two requests in one segment: a module does not, but the answers must still come one by one.
    sock.sendall(publish("cli2ser_req", bytes.fromhex("00000003020f")) * 2 + b"\xc0\0")
    say(event="ready")
    left = args.requests
    while left:
        kind, rest = packet()
        if kind != 0x30:
            continue
        size = struct.unpack(">H", rest[:2])[0]
        topic, payload = rest[2 : 2 + size].decode(), rest[2 + size :]
        if topic == topics[1]:
            continue
        answer, p0 = answer_to(payload)
        if answer:
            sock.sendall(publish(topic.replace("app2dev", "dev2app", 1), answer))
            left -= 1
    sock.sendall(b"\xe0\0")
    sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--mac", required=True)
    parser.add_argument("--passcode", required=True)
    parser.add_argument("--requests", type=int, default=2)
    parser.add_argument("--raw", action="store_true")
    args = parser.parse_args()

    form = f"passcode={args.passcode}&mac={args.mac}&product_key={args.product}"
    status, body = call(args.http, "POST", "/dev/devices", form)
    if status != 201 or not body.startswith("did=") or len(body) != 26:
        fail(f"register: {status} {body}")
    did = body[4:26]
    say(event="registered", did=did)
    status, body = call(args.http, "GET", f"/dev/devices/{did}", "")
    host, port = field(body, "host"), int(field(body, "port"))
    say(event="provisioned", host=host, port=port, server_ts=int(field(body, "server_ts")))
    for kind, hard, soft in [(1, "000LINUX", "04020006"), (2, "00000001", "00000002")]:
        form = f"passcode={args.passcode}&type={kind}&hard_version={hard}&soft_version={soft}"
        status, body = call(args.http, "POST", f"/dev/ota/v4.1/update_and_check/{did}", form)
        say(event="checked", type=kind, status=status, body=body)
    (raw if args.raw else paho)(args, did, host, port)
    say(event="done")


main()
