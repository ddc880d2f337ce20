"""The vendor's northbound package, unmodified, on a tour through the API, driven by the tests.

It is built with our endpoint over plain HTTP and signs with an access key (basic, then derived).
A device on paho-mqtt answers commands, properties and messages. Each step asserts on content;
prints one JSON object a line and ends with the number of calls made.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import queue
import traceback

import paho.mqtt.client as mqtt
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkiotda import v5

# A certification authority made for this test; its key was thrown away.
CA = """-----BEGIN CERTIFICATE-----
MIIBijCCATGgAwIBAgIUVJR7ewANzrLyapc+SY0Xco+BlQIwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHVG91ciBDQTAgFw0yNjExMjEwODAyMThaGA8yMTI2MTAyODA4
MDIxOFowEjEQMA4GA1UEAwwHVG91ciBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABCtYhvSGbY53XIU3hhLZWEbjpgVfeD0q9mXNEGgDVOt+L58ZOv6QWJ/zvydc
ipLnskejim6ldz6/z9bNXhS46E+jYzBhMB0GA1UdDgQWBBRM8uL1wcWaeTBIxP8G
3mYScgcMDTAfBgNVHSMEGDAWgBRM8uL1wcWaeTBIxP8G3mYScgcMDTAPBgNVHRMB
Af8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNHADBEAiA5u4FA
F0Nny9nSEFu65qwHEq0pwGN77z/1Q3ntvsPurAIgFt/OagVYYjoVWHfH/dhU/kv6
/FPFO1vfLWK93vTzvwk=
-----END CERTIFICATE-----
"""
SECRET = "0123456789abcdef0123"
SERVICE = "meter"
CAPABILITY = {
    "service_id": SERVICE, "service_type": SERVICE,
    "properties": [
        {"property_name": "level", "data_type": "int", "required": False,
         "min": "0", "max": "100", "step": 1, "method": "RW"},
    ],
    "commands": [
        {"command_name": "turn",
         "paras": [{"para_name": "to", "data_type": "string", "required": True, "max_length": 8}],
         "responses": [{"response_name": "done", "paras": [
             {"para_name": "at", "data_type": "string", "required": False, "max_length": 8}]}]},
    ],
}


class North:
    """One client; `north.show_device(device_id=...)` builds the package's own request."""

    made = []

    def __init__(self, endpoint, credentials):
        region = Region("roadstead", endpoint)
        builder = v5.IoTDAClient.new_builder().with_credentials(credentials)
        self.client = builder.with_region(region).build()

    def __getattr__(self, name):
        words = "".join(word.capitalize() for word in name.split("_"))
        request = getattr(v5, words + "Request")

        def call(**fields):
            answer = getattr(self.client, name)(request(**fields))
            North.made.append(name)
            return answer

        return call

    def refused(self, status, name, **fields):
        """Makes a call that must fail with `status`; returns the vendor's error code."""
        try:
            getattr(self, name)(**fields)
        except exceptions.ServiceResponseException as error:
            assert error.status_code == status, (name, error.status_code, error.error_code)
            North.made.append(name)
            return error.error_code
        raise AssertionError(f"{name} was not refused")


class Device:
    """A device that obeys everything and keeps what it got."""

    def __init__(self, address, device_id, secret):
        host, port = address.rsplit(":", 1)
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d%H")
        self.base = f"$oc/devices/{device_id}/sys/"
        self.inbox, self.connected = queue.Queue(), queue.Queue()
        self.level = 7
        self.client = mqtt.Client(client_id=f"{device_id}_0_0_{stamp}")
        password = hmac.new(stamp.encode(), secret.encode(), hashlib.sha256).hexdigest()
        self.client.username_pw_set(device_id, password)
        self.client.on_connect = lambda client, data, flags, code: self.connected.put(code)
        self.client.on_message = self.on_message
        self.client.connect(host, int(port), keepalive=60)
        self.client.loop_start()
        assert self.connected.get(timeout=20) == 0

    def on_message(self, client, data, message):
        what, _, request_id = message.topic.removeprefix(self.base).partition("/request_id=")
        body = json.loads(message.payload)
        answer = {"result_code": 0}
        if what == "properties/set":
            self.level = body["services"][0]["properties"]["level"]
        elif what == "properties/get":
            answer = self.values()
        elif what == "commands":
            answer = {"result_code": 0, "response_name": "done",
                      "paras": {"at": body["paras"]["to"]}}
        if request_id:
            topic = f"{self.base}{what}/response/request_id={request_id}"
            client.publish(topic, json.dumps(answer), qos=1)
        self.inbox.put((what, body))

    def values(self):
        return {"services": [{"service_id": SERVICE, "properties": {"level": self.level}}]}

    def report(self):
        self.client.publish(
            self.base + "properties/report", json.dumps(self.values()), qos=1
        ).wait_for_publish()

    def got(self, what):
        """Returns the next thing of this kind that came."""
        while True:
            kind, body = self.inbox.get(timeout=20)
            if kind == what:
                return body

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def spaces(north):
    made = north.add_application(body={"app_name": "tour"})
    assert made.app_name == "tour" and made.default_app is False, made
    shown = north.show_application(app_id=made.app_id)
    assert shown.app_id == made.app_id and shown.app_name == "tour", shown
    listed = north.show_applications().applications
    assert made.app_id in [space.app_id for space in listed], listed
    defaults = north.show_applications(default_app=True).applications
    assert [space.default_app for space in defaults] == [True], defaults
    changed = north.update_application(app_id=made.app_id, body={"app_name": "tour2"})
    assert changed.app_name == "tour2", changed
    north.delete_application(app_id=made.app_id)
    north.refused(404, "show_application", app_id=made.app_id)


def products(north):
    made = north.create_product(body={
        "name": "Meter", "device_type": "Meter", "protocol_type": "MQTT", "data_format": "json",
        "manufacturer_name": "Tour", "service_capabilities": [CAPABILITY]})
    assert made.name == "Meter" and made.protocol_type == "MQTT", made
    shown = north.show_product(product_id=made.product_id)
    service = shown.service_capabilities[0]
    assert service.service_id == SERVICE, shown
    assert service.properties[0].property_name == "level", shown
    assert service.commands[0].paras[0].para_name == "to", shown
    listed = north.list_products(limit=10, product_name="Meter")
    assert [one.product_id for one in listed.products] == [made.product_id], listed
    changed = north.update_product(product_id=made.product_id, body={"description": "changed"})
    assert changed.description == "changed", changed
    return made.product_id


def devices(north, product):
    made = north.add_device(body={
        "node_id": "n1", "device_name": "one", "product_id": product,
        "auth_info": {"auth_type": "SECRET", "secret": SECRET, "secure_access": False}})
    device = made.device_id
    assert device == f"{product}_n1" and made.auth_info.secret == SECRET, made
    assert north.refused(400, "add_device", body={"node_id": "n1", "product_id": product})
    shown = north.show_device(device_id=device)
    assert (shown.device_name, shown.status) == ("one", "INACTIVE"), shown
    assert north.refused(404, "show_device", device_id="notexist") == "IOTDA.014000"
    changed = north.update_device(device_id=device, body={"device_name": "zwei \u4e2d"})
    assert changed.device_name == "zwei \u4e2d", changed
    listed = north.list_devices(product_id=product, device_name="zwei \u4e2d")
    assert [one.device_id for one in listed.devices] == [device], listed
    assert listed.page.count == 1, listed
    north.freeze_device(device_id=device)
    assert north.show_device(device_id=device).status == "FROZEN"
    north.unfreeze_device(device_id=device)
    assert north.show_device(device_id=device).status == "INACTIVE"
    print_ = "dc0f1016f495157344ac5f1296335cff725ef22f"
    other = north.add_device(body={
        "node_id": "n2", "product_id": product,
        "auth_info": {"auth_type": "CERTIFICATES", "fingerprint": print_}})
    reset = north.reset_fingerprint(device_id=other.device_id, body={"fingerprint": print_[::-1]})
    assert reset.fingerprint == print_[::-1], reset
    reset = north.reset_device_secret(
        device_id=device, action_id="resetSecret", body={"secret": SECRET[::-1]})
    assert reset.device_id == device and reset.secret == SECRET[::-1], reset
    page = north.list_devices(product_id=product, limit=1)
    rest = north.list_devices(product_id=product, limit=1, marker=page.page.marker)
    both = {page.devices[0].device_id, rest.devices[0].device_id}
    assert both == {device, other.device_id}, both
    north.delete_device(device_id=other.device_id)
    north.refused(404, "show_device", device_id=other.device_id)
    return device


def tags_and_groups(north, device):
    tag = {"tag_key": "floor", "tag_value": "3"}
    where = {"resource_type": "device", "resource_id": device}
    north.tag_device(body={**where, "tags": [tag]})
    assert north.show_device(device_id=device).tags[0].tag_value == "3"
    found = north.list_resources_by_tags(body={"resource_type": "device", "tags": [tag]})
    assert [one.resource_id for one in found.resources] == [device], found
    north.untag_device(body={**where, "tag_keys": ["floor"]})
    found = north.list_resources_by_tags(body={"resource_type": "device", "tags": [tag]})
    assert found.resources == [], found
    group = north.add_device_group(body={"name": "hall"}).group_id
    assert north.show_device_group(group_id=group).name == "hall"
    changed = north.update_device_group(group_id=group, body={"name": "attic"})
    assert changed.name == "attic", changed
    listed = north.list_device_groups(name="attic").device_groups
    assert [one.group_id for one in listed] == [group], listed
    member = {"group_id": group, "device_id": device}
    north.create_or_delete_device_in_group(action_id="addDevice", **member)
    inside = north.show_devices_in_group(group_id=group).devices
    assert [one.device_id for one in inside] == [device], inside
    of_device = north.list_device_groups_by_device(device_id=device).device_groups
    assert [one.group_id for one in of_device] == [group], of_device
    north.create_or_delete_device_in_group(action_id="removeDevice", **member)
    assert north.show_devices_in_group(group_id=group).devices == []
    north.delete_device_group(group_id=group)
    north.refused(404, "show_device_group", group_id=group)
    sql = f"select * from device where device_id = '{device}' limit 0,10"
    found = north.search_devices(body={"sql": sql})
    assert [one.device_id for one in found.devices] == [device], found


def trust(north, product):
    made = north.add_certificate(body={"content": CA})
    assert made.cn_name == "Tour CA" and made.status is False and made.verify_code, made
    shown = north.show_certificate(certificate_id=made.certificate_id)
    assert shown.cn_name == "Tour CA", shown
    listed = north.list_certificates().certificates
    assert [one.certificate_id for one in listed] == [made.certificate_id], listed
    north.delete_certificate(certificate_id=made.certificate_id)
    north.refused(404, "show_certificate", certificate_id=made.certificate_id)
    statement = {"effect": "ALLOW", "actions": ["iotda:devices:publish"],
                 "resources": ["topic:a/b"]}
    policy = north.create_device_policy(
        body={"policy_name": "p1", "statement": [statement]}).policy_id
    shown = north.show_device_policy(policy_id=policy)
    assert shown.statement[0].resources == ["topic:a/b"], shown
    changed = north.update_device_policy(policy_id=policy, body={"policy_name": "p2"})
    assert changed.policy_name == "p2", changed
    listed = north.list_device_policies(policy_name="p2").policies
    assert [one.policy_id for one in listed] == [policy], listed
    target = {"target_type": "product", "target_ids": [product]}
    assert north.bind_device_policy(policy_id=policy, body=target).success_targets == [product]
    shown = north.show_targets_in_device_policy(policy_id=policy, body={"target_type": "product"})
    assert [one.target_id for one in shown.targets] == [product], shown
    assert north.unbind_device_policy(policy_id=policy, body=target).success_targets == [product]
    north.delete_device_policy(policy_id=policy)
    north.refused(404, "show_device_policy", policy_id=policy)


def online(north, device, mqtt_address):
    wire = Device(mqtt_address, device, SECRET[::-1])
    assert north.show_device(device_id=device).status == "ONLINE"
    where = {"device_id": device}
    turn = {"service_id": SERVICE, "command_name": "turn", "paras": {"to": "on"}}
    done = north.create_command(body=turn, **where)
    assert done.response["paras"] == {"at": "on"}, done
    assert wire.got("commands")["command_name"] == "turn"
    wanted = {"services": [{"service_id": SERVICE, "properties": {"level": 42}}]}
    done = north.update_properties(body=wanted, **where)
    assert done.response["result_code"] == 0, done
    got = north.list_properties(service_id=SERVICE, **where)
    values = got.response["services"]
    assert values[0]["properties"]["level"] == 42, got
    wire.report()
    shadow = north.show_device_shadow(**where).shadow[0]
    assert shadow.service_id == SERVICE and shadow.reported.properties["level"] == 42, shadow
    sent = north.create_message(body={"message": "hello", "name": "greeting"}, **where)
    assert wire.got("messages/down")["content"] == "hello"
    shown = north.show_device_message(message_id=sent.message_id, **where)
    assert (shown.message, shown.name) == ("hello", "greeting"), shown
    queued = north.create_async_command(
        body={**turn, "expire_time": 3600, "send_strategy": "immediately"}, **where)
    assert wire.got("commands")["paras"] == {"to": "on"}
    assert north.show_async_device_command(
        command_id=queued.command_id, **where).command_name == "turn"
    wire.leave()


def offline(north, device):
    where = {"device_id": device}
    sent = north.create_message(body={"message": "later", "ttl": 60}, **where)
    assert sent.result.status == "PENDING", sent
    listed = north.list_device_messages(**where)
    assert sent.message_id in [one.message_id for one in listed.messages], listed
    north.delete_device_message(message_id=sent.message_id, **where)
    north.refused(404, "show_device_message", message_id=sent.message_id, **where)
    turn = {"service_id": SERVICE, "command_name": "turn", "paras": {"to": "off"}}
    assert north.refused(404, "create_command", body=turn, **where) == "IOTDA.014016"
    queued = north.create_async_command(
        body={**turn, "expire_time": 3600, "send_strategy": "delay"}, **where)
    assert queued.status == "PENDING", queued
    listed = north.list_async_commands(status="PENDING", **where)
    assert [one.command_id for one in listed.commands] == [queued.command_id], listed
    history = north.list_async_history_commands(**where)
    assert queued.command_id not in [one.command_id for one in history.commands], history
    counted = north.count_async_history_commands(**where)
    assert counted.count == len(history.commands), (counted, history)
    desired = {"shadow": [{"service_id": SERVICE, "desired": {"level": 9}}]}
    changed = north.update_device_shadow_desired_data(body=desired, **where)
    assert changed.shadow[0].desired.properties["level"] == 9, changed


def with_token(endpoint, project, password, product):
    """The vendor's token sign-in, as applications without the package do it."""
    who = {"name": "admin", "password": password, "domain": {"name": "any"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}},
                     "scope": {"project": {"name": "any"}}}}
    answer = requests.post(f"{endpoint}/v3/auth/tokens", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    path = f"{endpoint}/v5/iot/{project}/products/{product}"
    shown = requests.get(path, headers=headers, timeout=20)
    assert shown.status_code == 200 and shown.json()["name"] == "Meter", shown.text
    wrong = requests.get(path, headers={"X-Auth-Token": "wrong"}, timeout=20)
    assert wrong.status_code == 403, wrong.text


def main():
    parser = argparse.ArgumentParser()
    for name in ["endpoint", "mqtt", "project", "access-key", "secret-key", "password"]:
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    key = (args.access_key, args.secret_key)
    north = North(args.endpoint, BasicCredentials(*key, args.project))
    spaces(north)
    product = products(north)
    device = devices(north, product)
    tags_and_groups(north, device)
    trust(north, product)
    derived = BasicCredentials(*key, args.project)
    derived.with_derived_predicate(lambda request: True)
    north = North(args.endpoint, derived)
    online(north, device, args.mqtt)
    offline(north, device)
    with_token(args.endpoint, args.project, args.password, product)
    assert north.refused(409, "delete_product", product_id=product)
    north.delete_device(device_id=device)
    north.delete_product(product_id=product)
    north.refused(404, "show_product", product_id=product)
    wrong = North(args.endpoint, BasicCredentials(key[0], "wrong", args.project))
    wrong.refused(403, "list_devices")
    print(json.dumps({"event": "done", "calls": len(North.made),
                      "kinds": len(set(North.made))}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # the tests show events, not the error stream
        print(json.dumps({"event": "failed", "why": traceback.format_exc()}), flush=True)
        raise
