"""Requests that the vendor's northbound package really made, sent again as they were recorded.

Only what belongs to one platform is replaced: project, ids that the platform hands out, the proof
of who calls. Each call must succeed or fail as recorded; its answer is parsed by the package's own model class
of that operation and must fill every field that the recorded answer fills. Prints one JSON object
at the end.
"""

import argparse
import json
import re
import traceback

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkiotda import v5

from huawei_north import CA, Device, North

# Recorded calls of operations that the platform does not offer yet.
LATER = ["/amqp-queues", "/auth/accesscode", "/batchtask-files", "/batchtasks",
         "/ota-upgrades/packages", "/routing-rule/"]
SECRET = "newsecret123"


class Meter(Device):
    """Answers as the recorded device did."""

    def values(self):
        return {"services": [{"service_id": "WaterMeter", "properties": {"temperature": "20"}}]}

    def on_message(self, client, data, message):
        what, _, request_id = message.topic.removeprefix(self.base).partition("/request_id=")
        answer = {
            "commands": {"result_code": 0, "response_name": "COMMAND_RESPONSE",
                         "paras": {"result": "success"}},
            "properties/get": {"services": [
                {"service_id": "Temperature", "properties": {"value": 57}}]},
        }.get(what, {"result_code": 0, "result_desc": "success"})
        if request_id:
            topic = f"{self.base}{what}/response/request_id={request_id}"
            client.publish(topic, json.dumps(answer), qos=1)


def operations():
    """Yields method, pattern of the path and response class of every operation of the package."""
    client = v5.IoTDAClient
    for name in dir(client):
        if not name.endswith("_http_info"):
            continue
        words = name.removeprefix("_").removesuffix("_http_info").split("_")
        request = getattr(v5, "".join(word.capitalize() for word in words) + "Request", None)
        if request is None:
            continue
        info = getattr(client, name)(request())
        path = re.sub(r"\{[^}]*\}", "[^/]+", info["resource_path"])
        yield info["method"], re.compile(path + "$"), info["response_type"]


def ids(recorded, ours):
    """Yields pairs of a recorded id and the one that took its place."""
    for key, value in recorded.items():
        if key.endswith("_id") and isinstance(value, str) and isinstance(ours.get(key), str):
            yield value, ours[key]


def filled(recorded, ours, where):
    """Every field of the recorded answer has a value of its kind in ours."""
    for key in getattr(recorded, "attribute_map", {}):
        theirs, mine = getattr(recorded, key), getattr(ours, key)
        if theirs is None or (key == "finished_time" and ours.status == "PENDING"):
            continue
        assert mine is not None, f"{where}: {key} is missing"
        if ours.openapi_types[key] == "object":
            continue
        assert type(mine) is type(theirs), f"{where}: {key} is {mine!r} instead of {theirs!r}"
        if isinstance(theirs, list) and theirs:
            assert mine, f"{where}: {key} is empty"
            filled(theirs[0], mine[0], f"{where}.{key}[0]")
        else:
            filled(theirs, mine, f"{where}.{key}")


class Replay:
    def __init__(self, args):
        self.args, self.known = args, {}
        self.north = North(args.endpoint, BasicCredentials("key", "secret", args.project))
        self.operations = list(operations())
        who = {"name": "admin", "password": args.password, "domain": {"name": "any"}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}},
                         "scope": {"project": {"name": "any"}}}}
        answer = requests.post(f"{args.endpoint}/v3/auth/tokens", json=body, timeout=20)
        self.token = answer.headers["X-Subject-Token"]
        self.parsed, self.later = 0, set()
        self.device = None

    def fit(self, text):
        """Puts our ids in place of the recorded ones."""
        for recorded, ours in sorted(self.known.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w-]){re.escape(recorded)}(?![a-zA-Z0-9-])", ours, text)
        return text

    def send(self, method, path, body, headers):
        url = self.args.endpoint + path
        headers = {"X-Auth-Token": self.token, "Content-Type": headers["Content-Type"]}
        return requests.request(method, url, data=body.encode(), headers=headers, timeout=30)

    def play(self, record):
        request, recorded = record["request"], record["response"]
        method, path = request["method"], self.fit(request["path"])
        if any(part in path for part in LATER):
            self.later.add(f"{method} {path}")
            return
        self.prepare(method, path)
        body = self.fit(request["body"])
        if path.endswith("/certificates"):
            body = json.dumps({"content": CA})  # the recorded one is cut
        if method == "PUT" and path.endswith("/shadow"):
            body = body.replace('"version": 1', '"version": 2')  # the report, and a wish
        answer = self.send(method, path, body, request["headers"])
        for _ in range(2000):  # the device is answering
            if "/async-commands/" not in path or answer.json()["status"] == "SUCCESSFUL":
                break
            answer = self.send(method, path, body, request["headers"])
        what = f"{method} {path}"
        # The recording's other side was a bench that said 201 to every POST.
        alike = answer.ok if recorded["status"] < 300 else answer.status_code == recorded["status"]
        assert alike, f"{what}: {answer.status_code} {answer.text}"
        theirs, ours = recorded["body"], (answer.json() if answer.text else None)
        if answer.status_code >= 400:
            assert ours["error_code"] == theirs["error_code"], f"{what}: {ours}"
            return
        if isinstance(theirs, dict) and isinstance(ours, dict):
            self.known.update(ids(theirs, ours))
        short = path.partition("?")[0]
        kind = next((kind for verb, pattern, kind in self.operations
                     if verb == method and pattern.match(short)), None)
        if kind is None:
            assert short == "/v3/projects", what
            return
        mine = self.north.client._deserialize(ours or {}, kind)
        filled(self.north.client._deserialize(theirs or {}, kind), mine, what)
        self.parsed += 1
        self.follow(method, short)

    def prepare(self, method, path):
        """Brings the world into the state that the recorded call found."""
        if path.endswith("/commands") and "/offline_dev/" in path:
            self.ask("POST", "/devices", {
                "device_id": "offline_dev", "node_id": "offline_dev",
                "product_id": self.known["5e25d39a3b7c24fa3638804b"]})
        if method == "GET" and path.endswith("/shadow"):
            self.device.report()
            self.ask("PUT", path.partition(self.args.project)[2], {"shadow": [
                {"service_id": "WaterMeter", "desired": {"temperature": "50"}}]})
        if method == "DELETE" and self.device:
            self.device.leave()

    def follow(self, method, path):
        """Does what the recording's other side did between two calls."""
        if (method, path.rpartition("/")[2]) == ("POST", "products"):
            text = {"data_type": "string", "max_length": 10}
            command = {"command_name": "ON_OFF", "paras": [{"para_name": "value", **text}],
                       "responses": [{"response_name": "COMMAND_RESPONSE",
                                      "paras": [{"para_name": "result", **text}]}]}
            self.ask("PUT", f"/products/{self.known['5e25d39a3b7c24fa3638804b']}", {
                "service_capabilities": [
                    {"service_id": "WaterMeter", "service_type": "WaterMeter",
                     "commands": [command], "properties": [
                         {"property_name": "temperature", "method": "RW", **text}]},
                    {"service_id": "Temperature", "service_type": "Temperature", "properties": [
                        {"property_name": "value", "data_type": "int", "method": "RW",
                         "min": "0", "max": "100"}]}]})
        if path.endswith("/unfreeze"):
            device = path.split("/")[-2]
            self.device = Meter(self.args.mqtt, device, SECRET)

    def ask(self, method, path, body):
        path = f"/v5/iot/{self.args.project}{path}"
        headers = {"Content-Type": "application/json"}
        answer = self.send(method, path, json.dumps(body), headers)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"


def main():
    parser = argparse.ArgumentParser()
    for name in ["endpoint", "mqtt", "project", "password"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("recording")
    args = parser.parse_args()
    replay = Replay(args)
    replay.known = {"0123456789abcdef0123456789abcdef": args.project, "a1": args.project}
    with open(args.recording, encoding="utf-8") as file:
        for record in json.load(file)["records"]:
            replay.play(record)
    print(json.dumps({"event": "done", "parsed": replay.parsed, "later": sorted(replay.later)}),
          flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # the tests show events, not the error stream
        print(json.dumps({"event": "failed", "why": traceback.format_exc()}), flush=True)
        raise
