// A gateway on the vendor's npm package, unmodified, driven by the tests.
// Prints one JSON object a line and ends when the test closes its standard input.
'use strict';
const iot = require('alibabacloud-iot-device-sdk');

const [mqtt, http, product, device, productSecret, subProduct, subDevice, subSecret] = process.argv.slice(2);
const say = (fields) => console.log(JSON.stringify(fields));
process.stdin.on('end', () => process.exit(0)).resume();

const identity = { productKey: product, productSecret, deviceName: device };
const registerURL = `http://${http}/auth/register/device`;
iot.register({ ...identity, registerURL }, (answer) => {
  say({ event: 'registered', code: answer.code });
  if (answer.code !== 200) process.exit(1);
  run(answer.data.deviceSecret);
});

function run(deviceSecret) {
  const gateway = iot.gateway({ productKey: product, deviceName: device, deviceSecret, brokerUrl: `mqtt://${mqtt}` });
  gateway.on('error', (error) => say({ event: 'error', text: String(error) }));
  gateway.on('message', (topic, payload) => {
    if (topic.startsWith('/ext/ntp/')) say({ event: 'time', payload: JSON.parse(payload) });
  });
  gateway.onProps((request) => {
    say({ event: 'set', params: request.params });
    gateway.postProps(request.params, () => {});
  });
  gateway.onService('Measure', (request, reply) => {
    say({ event: 'service', params: request.params });
    reply({ id: request.id, code: 200, data: { level: 41 } }, 'sync');
  });
  gateway.onService('Custom', (request, reply) => {
    reply({ id: request.id, code: 200, data: { transparency: 9 } }, 'async');
  });
  gateway.subscribe(`/sys/${product}/${device}/thing/service/Custom`);
  gateway.onShadow((answer) => say({ event: 'shadow', status: answer.payload.status }));
  gateway.subscribe(`/ext/ntp/${product}/${device}/response`);
  gateway.on('connect', () => {
    say({ event: 'connected' });
    gateway.postProps({ LightSwitch: 1, Counter: 6 }, (answer) => say({ event: 'posted', code: answer.code }));
    gateway.postEvent('Error', { e: 1 }, (answer) => say({ event: 'event', code: answer.code }));
    gateway.postTags([{ attrKey: 'room', attrValue: 'hall' }], (answer) => say({ event: 'tags', code: answer.code }));
    gateway.publish(`/ota/device/inform/${product}/${device}`, JSON.stringify({ id: 1, params: { version: '2.0.1' } }));
    gateway.publish(`/ext/ntp/${product}/${device}/request`, JSON.stringify({ deviceSendTime: '9' }));
    gateway.getShadow();
    const sub = { productKey: subProduct, deviceName: subDevice, deviceSecret: subSecret };
    gateway.addTopo([sub], (answer) => {
      say({ event: 'topo', code: answer.code });
      const child = gateway.login(sub, (login) => say({ event: 'login', code: login.code }));
      child.on('connect', () => {
        child.onProps((request) => {
          say({ event: 'subset', params: request.params });
          child.postProps(request.params, () => {});
        });
        child.postProps({ t: 21 }, (posted) => say({ event: 'subposted', code: posted.code }));
      });
    });
  });
}
