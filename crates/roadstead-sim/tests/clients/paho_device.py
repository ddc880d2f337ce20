"""A device on paho-mqtt alone, plain TCP with an HMAC-SHA256 password, driven by the tests.

Prints one JSON object a line. Reports once, obeys one control, then ends.
"""

import argparse
import base64
import hashlib
import hmac
import json
import sys
import threading

import paho.mqtt.client as mqtt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--protocol", choices=["3.1", "3.1.1"], default="3.1.1")
    args = parser.parse_args()

    client_id = args.product + args.device
    user = f"{client_id};12010126;9IOP8;2147483647"
    key = base64.b64decode(args.secret)
    password = hmac.new(key, user.encode(), hashlib.sha256).hexdigest() + ";hmacsha256"
    up = f"$thing/up/property/{args.product}/{args.device}"
    down = f"$thing/down/property/{args.product}/{args.device}"
    done = threading.Event()
    result = {"code": 1}

    def say(**fields):
        print(json.dumps(fields), flush=True)

    def finish(code):
        result["code"] = code
        done.set()

    def on_connect(client, userdata, flags, rc):
        say(event="connected", rc=rc)
        if rc == 0:
            client.subscribe(down, 1)
        else:
            finish(1)

    def on_subscribe(client, userdata, mid, granted):
        say(event="subscribed", granted=list(granted))
        body = {"method": "report", "clientToken": "p-1", "params": {"brightness": 7}}
        client.publish(up, json.dumps(body), qos=1)

    def on_message(client, userdata, message):
        payload = json.loads(message.payload)
        say(event="message", payload=payload)
        if payload["method"] == "report_reply":
            say(event="ready", code=payload["code"])
        elif payload["method"] == "control":
            reply = {"method": "control_reply", "code": 0, "clientToken": payload["clientToken"]}
            client.publish(up, json.dumps(reply), qos=1)
            body = {"method": "report", "clientToken": "p-2", "params": payload["params"]}
            client.publish(up, json.dumps(body), qos=1)

    def on_publish(client, userdata, mid):
        say(event="acknowledged", mid=mid)
        if mid >= 4:  # subscribe 1, report 2, control_reply 3, report 4
            finish(0)

    version = mqtt.MQTTv31 if args.protocol == "3.1" else mqtt.MQTTv311
    client = mqtt.Client(client_id=client_id, protocol=version)
    client.username_pw_set(user, password)
    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_message, client.on_publish = on_message, on_publish
    client.connect(args.host, args.port, keepalive=60)
    client.loop_start()
    done.wait(30)
    client.disconnect()
    client.loop_stop()
    return result["code"]


if __name__ == "__main__":
    sys.exit(main())
