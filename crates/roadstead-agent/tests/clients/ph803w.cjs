// Drives node-ph803w, an independent LAN client, against a module:
// discovery, passcode, log-in, data, heartbeat. Arguments: IP, UDP port, TCP port.
//
// Its ports and the broadcast address are fixed; only the destination of the broadcast is
// redirected, so that several modules can live on one machine.
const dgram = require('dgram');
const { PH803WDevice, PH803WDiscovery } = require('node-ph803w');

const [ip, udp, tcp] = process.argv.slice(2);
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));
const send = dgram.Socket.prototype.send;
dgram.Socket.prototype.send = function (bytes, from, len, port, to) {
  return send.call(this, bytes, from, len, to === '255.255.255.255' ? Number(udp) : port,
    to === '255.255.255.255' ? ip : to);
};
setTimeout(() => { say('timeout'); process.exit(1); }, 30000);

async function main() {
  const discovery = new PH803WDiscovery({ listenAddress: ip });
  const found = new Promise((resolve) => discovery.on('device', resolve));
  discovery.on('error', (error) => say('error', { error: String(error) }));
  await discovery.discover();
  say('discovered', await found);
  await discovery.stop();

  const device = new PH803WDevice(ip, { port: Number(tcp), autoReconnect: false, pingInterval: 200 });
  device.on('error', (error) => say('error', { error: String(error) }));
  device.on('data', (data) => say('data', data));
  await device.connect();
  say('login', { result: await device.login() });
  const data = await device.retrieveData();
  say('read', { data });
  // The heartbeat's answer comes within the package's own time, or it reports an error.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  say('connected', { still: device.isConnected() });
  await device.close(false);
  process.exit(0);
}
main().catch((error) => { say('failed', { error: String(error) }); process.exit(1); });
