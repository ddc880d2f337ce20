"""Requests made from the OpenAPI document, right and wrong ones, by schemathesis.

No answer may be 5xx, and a call that is refused (4xx) may change nothing: what all lists show is
compared before and after. Half of the calls name objects that exist. Prints one JSON object at the
end.
"""

import argparse
import json
import traceback

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

# What a refused call must leave as it is. Traces, logs and attempts record that it was refused.
NORTH_LISTS = ["apps", "certificates", "device-certificates", "device-group", "device-policies",
               "devices", "products", "provisioning-templates", "users",
               "devices/{device_id}", "devices/{device_id}/shadow",
               "devices/{device_id}/messages", "devices/{device_id}/async-commands",
               "products/{product_id}"]
APP_LISTS = ["bindings", "devices"]
PRODUCT, NODE, USER, PASSWORD = "fuzzproduct1", "fuzz", "fuzzer", "correct horse"


class Api:
    def __init__(self, args):
        self.args, self.session = args, requests.Session()
        self.north = {"X-Auth-Token": self.token()}
        self.app = None
        self.ids = {"project_id": args.project, "product_id": PRODUCT,
                    "device_id": f"{PRODUCT}_{NODE}"}
        self.calls = self.refused = 0
        self.furnish()
        self.before = self.shown()

    def token(self):
        who = {"name": "admin", "password": self.args.password, "domain": {"name": "any"}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}},
                         "scope": {"project": {"name": "any"}}}}
        answer = self.ask("POST", "/v3/auth/tokens", {}, body)
        return answer.headers["X-Subject-Token"]

    def ask(self, method, path, headers, body=None):
        return self.session.request(
            method, self.args.endpoint + path, headers=headers, json=body, timeout=60)

    def furnish(self):
        """Makes what the calls may name; what a call deleted comes back."""
        base = f"/v5/iot/{self.args.project}"
        service = {"service_id": "s", "service_type": "s", "properties": [
            {"property_name": "level", "data_type": "int", "method": "RW",
             "min": "0", "max": "9"}]}
        for path, body in [
            ("/products", {"product_id": PRODUCT, "name": "Fuzz", "device_type": "Fuzz",
                           "protocol_type": "MQTT", "data_format": "json",
                           "service_capabilities": [service]}),
            ("/devices", {"product_id": PRODUCT, "node_id": NODE,
                          "auth_info": {"secret": "0123456789abcdef"}}),
        ]:
            answer = self.ask("POST", base + path, self.north, body)
            assert answer.ok or answer.json()["code"] in ("api.conflict", "device.exists"), (
                path, answer.text)
        for path, field, body in [
            ("/device-group", "group_id", {"name": "fuzzed"}),
            ("/device-policies", "policy_id", {"policy_name": "fuzzed", "statement": [
                {"effect": "ALLOW", "actions": ["iotda:devices:publish"],
                 "resources": ["topic:fuzz/*"]}]}),
        ]:
            answer = self.ask("POST", base + path, self.north, body)
            if answer.ok:
                self.ids[field] = answer.json()[field]
        self.ask("POST", "/app/v1/users", {}, {"username": USER, "password": PASSWORD})
        answer = self.ask("POST", "/app/v1/sessions", {},
                          {"username": USER, "password": PASSWORD})
        self.app = {"Authorization": f"Bearer {answer.json()['token']}"}

    def shown(self):
        base = f"/v5/iot/{self.args.project}/"
        lists = [(base + path.format(**self.ids), self.north) for path in NORTH_LISTS]
        lists += [("/app/v1/" + path, self.app) for path in APP_LISTS]
        return {path: self.ask("GET", path, headers).text for path, headers in lists}

    def call(self, case):
        self.calls += 1
        if self.calls % 2:
            known = {key: self.ids[key] for key in case.path_parameters or {} if key in self.ids}
            case.path_parameters = {**(case.path_parameters or {}), **known}
        if "project_id" in (case.path_parameters or {}):
            case.path_parameters["project_id"] = self.args.project
        headers = self.app if case.path.startswith("/app/") else self.north
        answer = case.call(base_url=self.args.endpoint, headers=headers, timeout=60)
        what = f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text[:500]}"
        assert answer.status_code < 500, what
        self.refused += answer.status_code >= 400
        if case.method.upper() == "GET":
            return
        after = self.shown()
        if answer.status_code >= 400:
            for path, text in after.items():
                assert text == self.before[path], f"{what}\nchanged {path}\nbody {case.body!r}"
        self.before = after


def fuzz(api, operation, examples):
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    rules = settings(max_examples=examples, deadline=None, database=None,
                     phases=[Phase.generate], suppress_health_check=list(HealthCheck))

    for number, cases in enumerate((right, wrong)):
        @seed(1)
        @rules
        @given(case=cases)
        def one(case):
            api.call(case)

        try:
            one()
        except Unsatisfiable:
            assert number == 1, operation.label  # only a wrong request may be impossible
    if operation.method.upper() != "GET":
        api.furnish()
        api.before = api.shown()


def main():
    parser = argparse.ArgumentParser()
    for name in ["endpoint", "project", "password", "document"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--examples", type=int, default=5)
    args = parser.parse_args()
    api = Api(args)
    schema = schemathesis.openapi.from_path(args.document)
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        fuzz(api, operation, args.examples)
    print(json.dumps({"event": "done", "operations": len(operations), "calls": api.calls,
                      "refused": api.refused}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # the tests show events, not the error stream
        print(json.dumps({"event": "failed", "why": traceback.format_exc()}), flush=True)
        raise
