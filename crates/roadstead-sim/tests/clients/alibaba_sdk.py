"""A device on the vendor's Python package, unmodified, driven by the tests.

Prints one JSON object a line. `register` asks for the device secret (or, with `--open`, for a
token) and prints it; `tour` logs in, reports, obeys and plays the gateway, then ends when the
test closes its standard input.
"""

import argparse
import json
import sys
import threading

from linkkit import linkkit


def say(**fields):
    print(json.dumps(fields), flush=True)


def kit(args, **more):
    device = linkkit.LinkKit(
        host_name="cn-shanghai",
        product_key=args.product,
        device_name=args.device,
        device_secret=args.secret,
        product_secret=args.product_secret,
        **more,
    )
    host, port = args.mqtt.rsplit(":", 1)
    device.config_mqtt(port=int(port), secure="", endpoint=host)
    return device


def register(args):
    done = threading.Event()
    device = kit(args, auth_type="regnwl" if args.open else "register")

    def given(rc, *values):
        say(event="registered", rc=rc, values=[v for v in values if isinstance(v, str)])
        done.set()

    device.on_device_dynamic_register = given
    device.on_device_dynamic_register_nwl_reply = given
    device.connect_async()
    if not done.wait(20):
        say(event="timeout")
    sys.stdout.flush()


def token(args):
    done = threading.Event()
    client_id, username, password = args.token
    device = kit(args, client_id=client_id, username=username, password=password)

    def connected(session, rc, user):
        say(event="connected", rc=rc)
        done.set()

    device.on_connect = connected
    device.connect_async()
    if not done.wait(20):
        say(event="timeout")


def tour(args):
    device = kit(args)
    connected = threading.Event()
    device.thing_setup(args.model)

    def on_connect(session, rc, user):
        say(event="connected", rc=rc)
        connected.set()

    def on_service(identifier, request, params, user):
        say(event="service", identifier=identifier, params=params)
        answer = {"level": 42} if identifier == "Measure" else {"transparency": 8}
        device.thing_answer_service(identifier, request, 200, answer)

    def on_topic(topic, payload, qos, user):
        say(event="topic", topic=topic, payload=json.loads(payload))

    device.on_connect = on_connect
    device.on_thing_call_service = on_service
    device.on_topic_message = on_topic
    device.on_thing_prop_changed = lambda params, user: say(event="set", params=params)
    for name in [
        "thing_prop_post", "thing_event_post", "thing_device_info_update", "thing_shadow_get",
        "gateway_register_subdev_reply", "gateway_add_subdev_topo_reply",
        "gateway_login_subdev_reply", "gateway_logout_subdev_reply",
    ]:
        def told(*values, name=name):
            say(event=name, values=[v for v in values if v is None or isinstance(v, (str, int, dict, list))])
        setattr(device, "on_" + name, told)
    device.connect_async()
    if not connected.wait(20):
        say(event="timeout")
        return
    device.thing_post_property({"LightSwitch": 1, "Counter": 5})
    device.thing_trigger_event(("Error", {"e": 1}))
    device.thing_update_tags({"room": "kitchen"})
    device.ota_report_version("", "1.0.7")
    device.publish_topic(f"/ext/ntp/{args.product}/{args.device}/request", '{"deviceSendTime":"7"}', 0)
    say(event="ready")
    # Each line is a step of the gateway.
    for line in sys.stdin:
        step = json.loads(line)
        getattr(device, "gateway_" + step["do"])(step["with"])
    device.destruct()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["register", "token", "tour"])
    parser.add_argument("--mqtt", required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--secret", default="")
    parser.add_argument("--product-secret", default=None)
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--token", nargs=3)
    parser.add_argument("--model")
    args = parser.parse_args()
    {"register": register, "token": token, "tour": tour}[args.act](args)


# Its threads are no daemons everywhere: the process ends here whatever they do.
main()
sys.stdout.flush()
import os  # noqa: E402

os._exit(0)
