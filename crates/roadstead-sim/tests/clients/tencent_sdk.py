"""A device on Tencent's own Python package (`tencent-iot-device`), driven by the tests.

Only name resolution is changed: every `*.tencentdevices.com` leads to the platform under test.
Prints one JSON object a line: what the package has seen. Ends after one control and one action.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading


def redirect(mqtt, http):
    """Answers name look-ups of the vendor's hosts with the platform's addresses."""
    resolve = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        if isinstance(host, bytes):
            host = host.decode()
        if host and host.endswith(".tencentdevices.com"):
            host, port = http if "gateway" in host else mqtt
        return resolve(host, port, *args, **kwargs)

    socket.getaddrinfo = look_up


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mqtt", type=address, required=True)
    parser.add_argument("--http", type=address, required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--secret", default="YOUR_DEVICE_SECRET")
    parser.add_argument("--product-secret", default="YOUR_PRODUCT_SECRET")
    args = parser.parse_args()
    redirect(args.mqtt, args.http)

    from explorer.explorer import QcloudExplorer

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(
            {
                "auth_mode": "KEY",
                "productId": args.product,
                "productSecret": args.product_secret,
                "deviceName": args.device,
                "key_deviceinfo": {"deviceSecret": args.secret},
                "cert_deviceinfo": {"devCaFile": "", "devCertFile": "", "devPrivateKeyFile": ""},
                "region": "china",
            },
            file,
        )
        file.flush()
        return run(QcloudExplorer(file.name, tls=False), args)


def run(sdk, args):
    me = (args.product, args.device)
    connected, subscribed = threading.Event(), threading.Event()
    answered, controlled, acted = threading.Event(), threading.Event(), threading.Event()
    pending = {}

    if args.secret == "YOUR_DEVICE_SECRET":
        code, secret = sdk.dynregDevice()
        say(event="registered", code=code, secret=secret)
        if code != 0:
            return 1

    def on_property(topic, qos, payload, userdata):
        say(event="property", payload=payload)
        method = payload["method"]
        if method == "control":
            pending["control"] = payload
            controlled.set()
        elif method == "get_status_reply":
            pending["status"] = payload
        else:
            pending["reply"] = payload
            answered.set()

    def on_action(topic, qos, payload, userdata):
        say(event="action", payload=payload)
        pending["action"] = payload
        acted.set()

    def on_other(topic, qos, payload, userdata):
        say(event="other", topic=topic, payload=payload)

    sdk.registerMqttCallback(
        lambda flags, rc, userdata: (say(event="connected", rc=rc), connected.set()),
        lambda rc, userdata: say(event="disconnected", rc=rc),
        lambda topic, payload, qos, userdata: say(event="message", topic=topic),
        lambda mid, userdata: None,
        lambda granted, mid, userdata: (say(event="subscribed"), subscribed.set()),
        lambda mid, userdata: None,
    )
    sdk.connect()
    if not connected.wait(10):
        say(event="timeout", of="connect")
        return 1
    code, _ = sdk.templateInit(*me, on_property, on_action, on_other, on_other)
    if code != 0 or not subscribed.wait(10):
        say(event="timeout", of="subscribe")
        return 1

    class Reply:
        code = 0
        timeout_ms = 5000
        status_msg = "done"

    sdk.templateGetStatus(*me)
    sdk.templateReport(
        *me,
        {
            "method": "report",
            "clientToken": f"{args.product}-7",
            "params": {"power_switch": 1, "color": 1, "brightness": 42, "name": "python"},
        },
    )
    if not answered.wait(10):
        say(event="timeout", of="report_reply")
        return 1
    say(event="ready", reply=pending["reply"])

    if not controlled.wait(30):
        say(event="timeout", of="control")
        return 1
    sdk.templateControlReply(*me, Reply())
    params = pending["control"]["params"]
    sdk.templateReport(
        *me, {"method": "report", "clientToken": f"{args.product}-8", "params": params}
    )
    if not acted.wait(30):
        say(event="timeout", of="action")
        return 1
    token = pending["action"]["clientToken"]
    sdk.templateActionReply(*me, token, {"err_code": 0}, Reply())
    say(event="done")
    threading.Event().wait(1)  # the package sends from its own thread and cannot be asked
    sdk.disconnect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
