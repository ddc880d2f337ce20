//! A cloud that behaves badly, on real sockets: answers cut at every byte, packets that share a
//! segment or come byte by byte, garbage, resets.

use roadstead_dialects::gizwits::lan::begin;
use tokio::net::TcpListener;

use super::*;

const DID: &str = "GzwDemo0123456789ABCDE";

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

/// Reads a request with its body, and returns it.
async fn request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 1024]);
    loop {
        let len = stream.read(&mut buffer).await.expect("read");
        assert!(len > 0, "cut: {text}");
        text.push_str(std::str::from_utf8(&buffer[..len]).expect("text"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length:"));
        if body.len() >= length.map_or(0, |n| n.trim().parse().expect("a number")) {
            return text;
        }
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Serves the API for ever; modules are sent to `m2m`.
async fn serve_api(listener: TcpListener, m2m: u16) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a module");
        let asked = request(&mut stream).await;
        let reply = if asked.starts_with("POST /dev/devices ") {
            answer("201 Created", &format!("did={DID}"))
        } else if asked.starts_with("GET /dev/devices/") {
            answer("200 OK", &format!("host=127.0.0.1&port={m2m}&server_ts=1795221644&"))
        } else {
            answer("404 Not Found", r#"{"error_code":9027}"#)
        };
        stream.write_all(reply.as_bytes()).await.expect("sent");
    }
}

/// One M2M connection of a module.
struct Server(TcpStream);

impl Server {
    async fn accept(listener: &TcpListener) -> Self {
        let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time");
        Self(accepted.expect("a module").0)
    }

    /// Reads one packet: the first byte and what is behind the length.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.expect("a packet");
        let (mut len, mut shift) = (0, 0);
        loop {
            let byte = self.0.read_u8().await.expect("a length");
            len |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.expect("a whole packet");
        (first, body)
    }

    /// Lets the module in and grants its subscriptions.
    async fn let_in(&mut self) {
        assert_eq!(self.packet().await.0, 0x10, "CONNECT");
        self.0.write_all(&[0x20, 2, 0, 0]).await.expect("sent");
        for _ in 0..3 {
            let (first, body) = self.packet().await;
            assert_eq!(first, 0x82, "SUBSCRIBE");
            self.0.write_all(&[0x90, 3, body[0], body[1], 0]).await.expect("sent");
        }
    }
}

/// A PUBLISH that sets LED_R.
fn control(red: u8) -> Vec<u8> {
    let topic = format!("app2dev/{DID}/tester");
    let mut payload = Vec::new();
    begin(0x90, 7, &mut payload);
    payload.extend_from_slice(&[1, 0b100, 0, red, 0, 0, 0]);
    let len = 2 + topic.len() + payload.len();
    [&[0x30, len as u8, 0, topic.len() as u8], topic.as_bytes(), &payload].concat()
}

async fn set(events: &mut mpsc::UnboundedReceiver<AgentEvent>, red: u8) {
    let event = wait(events, "property_set").await;
    assert_eq!(event.data, Some(serde_json::json!({"LED_R": red})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_may_share_a_segment_come_byte_by_byte_or_be_garbage() {
    let ((api, api_port), (m2m, m2m_port)) = (listener().await, listener().await);
    let _api = tokio::spawn(serve_api(api, m2m_port));
    let folder = Folder::new("module-cloud");
    let mut options = options(&folder, virtual_line());
    options.config.api_port = api_port;
    let (mut events, _stop) = start(options);

    let mut server = Server::accept(&m2m).await;
    server.let_in().await;
    wait(&mut events, "online").await;
    // Real modules lose the second one; ours does not.
    server.0.write_all(&[control(1), control(2)].concat()).await.expect("sent");
    set(&mut events, 1).await;
    set(&mut events, 2).await;
    server.0.set_nodelay(true).expect("socket");
    for byte in control(3) {
        server.0.write_all(&[byte]).await.expect("sent");
    }
    set(&mut events, 3).await;

    // Garbage ends the connection; the next one comes at once, and works.
    server.0.write_all(&[0xFF; 16]).await.expect("sent");
    wait(&mut events, "offline").await;
    let mut server = Server::accept(&m2m).await;
    server.let_in().await;
    wait(&mut events, "online").await;
    server.0.write_all(&control(4)).await.expect("sent");
    set(&mut events, 4).await;

    // A reset, then refusals before CONNACK and between the subscriptions.
    server.0.set_zero_linger().expect("socket");
    drop(server);
    wait(&mut events, "offline").await;
    drop(Server::accept(&m2m).await);
    wait(&mut events, "failed").await;
    let mut server = Server::accept(&m2m).await;
    assert_eq!(server.packet().await.0, 0x10, "CONNECT");
    server.0.write_all(&[0x20, 2, 0, 0]).await.expect("sent");
    drop(server);
    wait(&mut events, "failed").await;
    let mut server = Server::accept(&m2m).await;
    server.let_in().await;
    wait(&mut events, "online").await;
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_no_answer() {
    let (listener, port) = listener().await;
    let whole = answer("200 OK", "host=127.0.0.1&port=1883&server_ts=1795221644&");
    let len = whole.len();
    let served = tokio::spawn(async move {
        for cut in 0..=whole.len() {
            let (mut stream, _) = listener.accept().await.expect("a module");
            request(&mut stream).await;
            stream.write_all(&whole.as_bytes()[..cut]).await.expect("sent");
        }
    });
    let asked = b"GET /dev/devices/x HTTP/1.1\r\n\r\n";
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for cut in 0..=len {
        let result = http::exchange(to, asked, PATIENCE, 4096).await;
        assert_eq!(result.is_ok(), cut == len, "cut at {cut}");
    }
    served.await.expect("served");
}
