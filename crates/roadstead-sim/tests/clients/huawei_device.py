"""A Huawei device on paho-mqtt alone, over plain TCP or TLS, driven by the tests.

It logs in by secret, subscribes nothing, says everything a gateway with two children says, and
obeys one property set and one command. Prints one JSON object a line: what it was told, in order.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import queue
import ssl
import sys

import paho.mqtt.client as mqtt

PATIENCE = 20


class Device:
    def __init__(self, args):
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d%H")
        self.base = f"$oc/devices/{args.device}/"
        self.inbox, self.connected = queue.Queue(), queue.Queue()
        self.client = mqtt.Client(client_id=f"{args.device}_0_{args.sign}_{stamp}")
        password = hmac.new(stamp.encode(), args.secret.encode(), hashlib.sha256).hexdigest()
        self.client.username_pw_set(args.device, password)
        if args.ca:
            # As the vendor's Python SDK: the chain is verified, the host name is not.
            self.client.tls_set(args.ca, cert_reqs=ssl.CERT_REQUIRED)
            self.client.tls_insecure_set(True)
        self.client.on_connect = lambda client, data, flags, code: self.connected.put(code)
        self.client.on_message = lambda client, data, message: self.inbox.put(
            (message.topic, json.loads(message.payload)))
        self.client.connect(args.host, args.port, keepalive=120)
        self.client.loop_start()
        say(event="connected", rc=self.connected.get(timeout=PATIENCE))

    def say(self, leaf, body):
        self.client.publish(self.base + leaf, json.dumps(body), qos=1).wait_for_publish()

    def event(self, service, kind, paras):
        event = {"service_id": service, "event_type": kind, "event_id": "",
                 "event_time": None, "paras": paras}
        self.say("sys/events/up", {"object_device_id": None, "services": [event]})

    def hear(self, leaf):
        """Returns the next message; it must be one below `leaf`."""
        topic, body = self.inbox.get(timeout=PATIENCE)
        assert topic.startswith(self.base + leaf), (topic, body)
        return topic.rpartition("request_id=")[2], body

    def told(self, kind):
        body = self.hear("sys/events/down")[1]
        assert len(body["services"]) == 1 and body["services"][0]["event_type"] == kind, body
        return body["services"][0]["paras"]

    def obey(self, what, answer):
        request, body = self.hear(f"sys/{what}/request_id=")
        self.say(f"sys/{what}/response/request_id={request}", answer)
        return body


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--sign", choices=["0", "1"], default="0")
    args = parser.parse_args()

    device = Device(args)
    report = {"services": [{"service_id": "meter", "properties": {"level": 3}}]}
    device.say("sys/properties/report", report)
    device.say("sys/shadow/get/request_id=s-1", {})
    say(event="shadow", body=device.hear("sys/shadow/get/response/request_id=")[1])
    device.event("$time_sync", "time_sync_request", {"device_send_time": "1795221679169"})
    say(event="time", body=device.told("time_sync_response"))
    device.event("$log", "log_report", {
        "timestamp": "1795221677257", "type": "DEVICE_STATUS", "content": "connect complete"})
    children = [{"node_id": node, "product_id": args.product, "name": node}
                for node in ("c1", "c2")]
    device.event("$sub_device_manager", "add_sub_device_request", {"devices": children})
    added = device.told("add_sub_device_response")
    say(event="added", body=added)
    ids = [one["device_id"] for one in added["successful_devices"]]
    statuses = [{"device_id": one, "status": "ONLINE"} for one in ids]
    device.event("$sub_device_manager", "sub_device_update_status", {"device_statuses": statuses})
    say(event="statuses", body=device.told("sub_device_update_status_response"))
    batch = [{"device_id": one, "services": [
        {"service_id": "meter", "properties": {"level": level}}]} for level, one in enumerate(ids)]
    device.say("sys/gateway/sub_devices/properties/report", {"devices": batch})
    device.say("sys/messages/up", {"content": "hello"})
    say(event="ready")
    say(event="set", body=device.obey("properties/set", {"result_code": 0}))
    say(event="command", body=device.obey(
        "commands", {"result_code": 0, "response_name": "done", "paras": {"at": "on"}}))
    say(event="message", body=device.hear("sys/messages/down")[1])
    device.client.disconnect()
    device.client.loop_stop()
    assert device.inbox.empty(), device.inbox.get()
    return 0


if __name__ == "__main__":
    sys.exit(main())
