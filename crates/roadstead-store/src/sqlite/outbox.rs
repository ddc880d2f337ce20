//! Asynchronous commands and messages: one table, one row each, the noun as JSON.

use async_trait::async_trait;
use roadstead_core::command::queue::{Command, Input, Output, Policy, Status};
use roadstead_core::message::{self, Message};
use roadstead_core::port::{
    CommandFilter, CommandStore, Listing, MessageStore, Page, Stepped, StoreError,
};
use roadstead_core::{CommandId, DeviceId, MessageId, Timestamp};
use rusqlite::{Connection, Row, ToSql, params};

use super::Sqlite;
use super::error::OrEngine;
use super::read::{count, one, rows};
use super::word::{get, json, of_json, text};
use crate::outbox::{self, Item};
use crate::rule;

/// What an item counts against the queue beside its body, bytes.
const ITEM_BYTES: usize = 400;

#[async_trait]
impl CommandStore for Sqlite {
    async fn create_command(&self, command: Command, pending_max: usize) -> Result<(), StoreError> {
        self.keep(command, pending_max).await
    }

    async fn command(
        &self,
        device: &DeviceId,
        id: &CommandId,
    ) -> Result<Option<Command>, StoreError> {
        self.shared.readers.with(|conn| find(conn, device, id.as_str()))
    }

    async fn commands(
        &self,
        device: &DeviceId,
        filter: &CommandFilter,
        page: &Page,
    ) -> Result<Listing<Command>, StoreError> {
        let CommandFilter { open, status, command, since, until } = filter;
        let mut list = List::new::<Command>(device);
        list.add("open = ", open.map(i64::from));
        list.add("status = ", status.map(|status| status.name().to_owned()));
        list.add("name = ", command.as_deref().map(str::to_owned));
        list.add("created_at >= ", since.map(|since| since.0));
        list.add("created_at < ", until.map(|until| until.0));
        self.shared.readers.with(|conn| list.read(conn, page))
    }

    async fn step_command(
        &self,
        device: &DeviceId,
        id: &CommandId,
        input: Input,
        now: Timestamp,
        policy: Policy,
    ) -> Result<Stepped, StoreError> {
        let (device, id) = (device.clone(), id.clone());
        self.write(move |tx| {
            let found = find::<Command>(tx.conn, &device, id.as_str())?;
            let mut command = found.ok_or(StoreError::Missing)?;
            let output = command.handle(input, now, &policy);
            if output != Output::Nothing {
                put(tx.conn, &command)?;
            }
            Ok((command, output))
        })
        .await
    }

    async fn next_command(
        &self,
        device: &DeviceId,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
    ) -> Result<Vec<Stepped>, StoreError> {
        let device = device.clone();
        self.write(move |tx| {
            let stepped = outbox::turn(open(tx.conn, &device)?, now, jitter, &policy);
            stepped.iter().try_for_each(|(command, _)| put(tx.conn, command))?;
            Ok(stepped)
        })
        .await
    }

    async fn due_commands(
        &self,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
        limit: usize,
    ) -> Result<Vec<Stepped>, StoreError> {
        if !self.is_due::<Command>(now)? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            let due = due::<Command>(tx.conn, now, limit)?;
            let step = |command| outbox::step(command, Input::Timeout { jitter }, now, &policy);
            let stepped: Vec<Stepped> = due.into_iter().filter_map(step).collect();
            stepped.iter().try_for_each(|(command, _)| put(tx.conn, command))?;
            Ok(stepped)
        })
        .await
    }

    async fn recover_commands(&self, now: Timestamp, policy: Policy) -> Result<u64, StoreError> {
        self.write(move |tx| {
            let sql = "SELECT body FROM outbox WHERE kind = ?1 AND open = 1 AND status = ?2";
            let sent = params![Command::KIND, Status::Sent.name()];
            let sent = rows(tx.conn, sql, sent, of_row::<Command>)?;
            let lost: Vec<Stepped> = sent
                .into_iter()
                .filter_map(|command| outbox::step(command, Input::Lost, now, &policy))
                .collect();
            lost.iter().try_for_each(|(command, _)| put(tx.conn, command))?;
            Ok(lost.len() as u64)
        })
        .await
    }
}

#[async_trait]
impl MessageStore for Sqlite {
    async fn create_message(&self, message: Message, pending_max: usize) -> Result<(), StoreError> {
        self.keep(message, pending_max).await
    }

    async fn message(
        &self,
        device: &DeviceId,
        id: &MessageId,
    ) -> Result<Option<Message>, StoreError> {
        self.shared.readers.with(|conn| find(conn, device, id.as_str()))
    }

    async fn messages(
        &self,
        device: &DeviceId,
        page: &Page,
    ) -> Result<Listing<Message>, StoreError> {
        let list = List::new::<Message>(device);
        self.shared.readers.with(|conn| list.read(conn, page))
    }

    async fn waiting_messages(&self, device: &DeviceId) -> Result<Vec<Message>, StoreError> {
        self.shared.readers.with(|conn| open(conn, device))
    }

    async fn step_message(
        &self,
        device: &DeviceId,
        id: &MessageId,
        input: message::Input,
        now: Timestamp,
    ) -> Result<(Message, bool), StoreError> {
        let (device, id) = (device.clone(), id.clone());
        self.write(move |tx| {
            let found = find::<Message>(tx.conn, &device, id.as_str())?;
            let mut message = found.ok_or(StoreError::Missing)?;
            let changed = message.handle(input, now);
            if changed {
                put(tx.conn, &message)?;
            }
            Ok((message, changed))
        })
        .await
    }

    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<Message>, StoreError> {
        if !self.is_due::<Message>(now)? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            let mut due = due::<Message>(tx.conn, now, limit)?;
            due.retain_mut(|message| message.handle(message::Input::Timeout, now));
            due.iter().try_for_each(|message| put(tx.conn, message))?;
            Ok(due)
        })
        .await
    }

    async fn delete_message(&self, device: &DeviceId, id: &MessageId) -> Result<(), StoreError> {
        let (device, id) = (device.clone(), id.clone());
        self.write_one(move |tx| {
            let sql = "DELETE FROM outbox WHERE kind = ?1 AND id = ?2
                       AND device = (SELECT row FROM device WHERE id = ?3)";
            let params = params![Message::KIND, id.as_str(), device.as_str()];
            let gone = tx.conn.prepare_cached(sql).and_then(|mut s| s.execute(params));
            super::access::found(gone.or_engine()?)
        })
        .await
    }

    async fn awaited_devices(&self) -> Result<Vec<DeviceId>, StoreError> {
        let sql = "SELECT d.id FROM device d WHERE d.row IN
                   (SELECT device FROM outbox WHERE open = 1) ORDER BY d.id";
        self.shared.readers.with(|conn| rows(conn, sql, [], |row| text(row, 0)))
    }
}

impl Sqlite {
    async fn keep<I: Item>(&self, item: I, pending_max: usize) -> Result<(), StoreError> {
        let body = json(&item)?;
        self.submit(ITEM_BYTES + body.len(), true, move |tx| {
            let device = item.device().as_str();
            let sql = "SELECT row FROM device WHERE id = ?1";
            let device: i64 =
                one(tx.conn, sql, [device], |row| get(row, 0))?.ok_or(StoreError::Missing)?;
            let sql = "SELECT count(*) FROM outbox WHERE device = ?1 AND kind = ?2 AND open = 1
                       AND status = 'PENDING'";
            let waiting = count(tx.conn, sql, params![device, I::KIND])?;
            let sql = "SELECT count(*) FROM outbox WHERE device = ?1 AND kind = ?2 AND id = ?3";
            if count(tx.conn, sql, params![device, I::KIND, item.id()])? > 0 {
                return Err(StoreError::Exists);
            }
            if waiting >= pending_max as u64 {
                return Err(outbox::full::<I>());
            }
            insert(tx.conn, device, &item, &body)?;
            prune::<I>(tx.conn, device)
        })
        .await
    }

    /// True when a timer is due: asked every second, true seldom, so the writer is not troubled
    /// for nothing.
    fn is_due<I: Item>(&self, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM outbox WHERE kind = ?1 AND due_at <= ?2 LIMIT 1";
        self.shared
            .readers
            .with(|conn| Ok(one(conn, sql, params![I::KIND, now.0], |_| Ok(()))?.is_some()))
    }
}

fn insert<I: Item>(conn: &Connection, device: i64, item: &I, body: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO outbox (device, kind, id, name, status, open, created_at, due_at, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let params = params![
        device,
        I::KIND,
        item.id(),
        item.name(),
        item.status(),
        item.is_open(),
        item.created_at().0,
        item.due_at().map(|due| due.0),
        body,
    ];
    conn.prepare_cached(sql).and_then(|mut insert| insert.execute(params)).or_engine().map(drop)
}

/// Forgets the oldest ended ones past the limit.
fn prune<I: Item>(conn: &Connection, device: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM outbox WHERE device = ?1 AND kind = ?2 AND open = 0 AND sequence <= (
                   SELECT sequence FROM outbox WHERE device = ?1 AND kind = ?2 AND open = 0
                   ORDER BY sequence DESC LIMIT 1 OFFSET ?3)";
    conn.prepare_cached(sql)
        .and_then(|mut delete| delete.execute(params![device, I::KIND, I::KEPT_MAX as i64]))
        .or_engine()
        .map(drop)
}

/// Writes an item back that exists.
fn put<I: Item>(conn: &Connection, item: &I) -> Result<(), StoreError> {
    let sql = "UPDATE outbox SET status = ?4, open = ?5, due_at = ?6, body = ?7
               WHERE kind = ?1 AND id = ?2 AND device = (SELECT row FROM device WHERE id = ?3)";
    let params = params![
        I::KIND,
        item.id(),
        item.device().as_str(),
        item.status(),
        item.is_open(),
        item.due_at().map(|due| due.0),
        json(item)?,
    ];
    conn.prepare_cached(sql).and_then(|mut update| update.execute(params)).or_engine().map(drop)
}

fn find<I: Item>(conn: &Connection, device: &DeviceId, id: &str) -> Result<Option<I>, StoreError> {
    let sql = "SELECT o.body FROM outbox o JOIN device d ON d.row = o.device
               WHERE d.id = ?1 AND o.kind = ?2 AND o.id = ?3";
    one(conn, sql, params![device.as_str(), I::KIND, id], of_row)
}

fn open<I: Item>(conn: &Connection, device: &DeviceId) -> Result<Vec<I>, StoreError> {
    let sql = "SELECT o.body FROM outbox o JOIN device d ON d.row = o.device
               WHERE d.id = ?1 AND o.kind = ?2 AND o.open = 1 ORDER BY o.sequence";
    rows(conn, sql, params![device.as_str(), I::KIND], of_row)
}

fn due<I: Item>(conn: &Connection, now: Timestamp, limit: usize) -> Result<Vec<I>, StoreError> {
    let sql = "SELECT o.body FROM outbox o JOIN device d ON d.row = o.device
               WHERE o.kind = ?1 AND o.due_at <= ?2 ORDER BY o.due_at, d.id, o.id LIMIT ?3";
    rows(conn, sql, params![I::KIND, now.0, limit as i64], of_row)
}

fn of_row<I: Item>(row: &Row<'_>) -> Result<I, StoreError> {
    of_json(&get::<String>(row, 0)?)
}

/// A list of one device's items of one kind, with conditions.
struct List {
    device: String,
    kind: i64,
    condition: String,
    values: Vec<Box<dyn ToSql>>,
}

impl List {
    fn new<I: Item>(device: &DeviceId) -> Self {
        let condition =
            String::from("device = (SELECT row FROM device WHERE id = ?1) AND kind = ?2");
        let device = device.as_str().to_owned();
        let values: Vec<Box<dyn ToSql>> = vec![Box::new(device.clone()), Box::new(I::KIND)];
        Self { device, kind: I::KIND, condition, values }
    }

    fn add(&mut self, head: &str, value: Option<impl ToSql + 'static>) {
        let Some(value) = value else { return };
        self.values.push(Box::new(value));
        self.condition.push_str(&format!(" AND {head}?{}", self.values.len()));
    }

    fn read<I: Item>(mut self, conn: &Connection, page: &Page) -> Result<Listing<I>, StoreError> {
        let sql = format!("SELECT count(*) FROM outbox WHERE {}", self.condition);
        let total = count(conn, &sql, rusqlite::params_from_iter(&self.values))?;
        let before = match &page.after {
            None => i64::MAX,
            Some(after) => {
                let sql = "SELECT o.sequence FROM outbox o JOIN device d ON d.row = o.device
                           WHERE d.id = ?1 AND o.kind = ?2 AND o.id = ?3";
                let params = params![self.device, self.kind, after];
                one(conn, sql, params, |row| get(row, 0))?.unwrap_or(0)
            }
        };
        let n = self.values.len();
        self.values.push(Box::new(before));
        self.values.push(Box::new(rule::page_items(page) as i64));
        self.values.push(Box::new(page.offset));
        let sql = format!(
            "SELECT body FROM outbox WHERE {} AND sequence < ?{}
             ORDER BY sequence DESC LIMIT ?{} OFFSET ?{}",
            self.condition,
            n + 1,
            n + 2,
            n + 3,
        );
        let items = rows(conn, &sql, rusqlite::params_from_iter(&self.values), of_row)?;
        Ok(Listing { items, total })
    }
}
