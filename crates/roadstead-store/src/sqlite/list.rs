//! Lists of devices: filter, condition, order and page as one statement with a budget.
//!
//! Newest first is the order of `device.row`, which every index of `device` ends in; so a page
//! costs what it shows, however many devices there are. A statement that looks at too much is
//! stopped by its budget, not by the caller's patience.

use std::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::limit::COUNT_MAX;
use roadstead_core::port::{DeviceFilter, Listing, Page, StoreError, read_marker};
use roadstead_core::search::{Condition, Field, Op, Operand, Test};
use roadstead_core::session::Presence;
use roadstead_core::{DeviceId, ProductId, SpaceId, UserId};
use rusqlite::{Connection, ToSql};

use super::device::{COLUMNS, WIDTH, of_row};
use super::read::{count, one, rows};
use super::word::get;
use super::{Sqlite, presence, tally};
use crate::rule;

/// Steps of SQLite's machine that one list may take; some seconds.
const STEPS_MAX: u64 = 400_000_000;

/// A condition in SQL with its values.
struct Clause {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
    /// Current run of the server, see `presence`.
    run: i64,
}

impl Sqlite {
    /// Lists devices.
    pub(super) fn list_devices(
        &self,
        space: &SpaceId,
        filter: &DeviceFilter,
        page: &Page,
    ) -> Result<Listing<(Arc<Device>, Presence)>, StoreError> {
        let before = read_marker(page)?;
        let runs = self.shared.runs.read();
        let vault = &self.shared.vault;
        let run = presence::current(&runs);
        self.shared.readers.with_budget(STEPS_MAX, |conn| {
            let sql = "SELECT row FROM space WHERE id = ?1";
            let Some(space) = one(conn, sql, [space.as_str()], |row| get::<i64>(row, 0))? else {
                return Ok(Listing { items: Vec::new(), total: 0 });
            };
            let mut clause = Clause::new(space, filter, run);
            let total = total(conn, space, filter, &clause)?;
            if let Some(before) = before {
                clause.and("d.row < ?", [before as i64]);
            }
            let limit = clause.bind(rule::page_items(page) as i64);
            let offset = clause.bind(page.offset);
            let sql = format!(
                "SELECT {COLUMNS}, {} FROM device d JOIN space s ON s.row = d.space
                 LEFT JOIN presence p ON p.device = d.row
                 WHERE {} ORDER BY {} LIMIT {limit} OFFSET {offset}",
                presence::COLUMNS,
                clause.sql,
                order(filter),
            );
            let items = rows(conn, &sql, rusqlite::params_from_iter(&clause.values), |row| {
                Ok((Arc::new(of_row(row, vault)?), presence::of_row(row, WIDTH, &runs)?))
            })?;
            Ok(Listing { items, total })
        })
    }
}

/// Returns how many match: from a tally where there is one, else counted up to a limit.
fn total(
    conn: &Connection,
    space: i64,
    filter: &DeviceFilter,
    clause: &Clause,
) -> Result<u64, StoreError> {
    if !rule::counts_exactly(filter) {
        let sql = format!(
            "SELECT count(*) FROM (
                 SELECT 1 FROM device d JOIN space s ON s.row = d.space
                 LEFT JOIN presence p ON p.device = d.row WHERE {} LIMIT {COUNT_MAX}
             )",
            clause.sql
        );
        return count(conn, &sql, rusqlite::params_from_iter(&clause.values));
    }
    match (&filter.product, &filter.gateway) {
        (Some(product), _) => tally::of(conn, tally::PRODUCT, &format!("{space}/{product}")),
        (None, Some(gateway)) => {
            let sql = "SELECT 1 FROM device WHERE id = ?1 AND space = ?2";
            let ours = one(conn, sql, rusqlite::params![gateway.as_str(), space], |_| Ok(()))?;
            match ours {
                Some(()) => tally::of(conn, tally::GATEWAY, &gateway.as_str()),
                None => Ok(0),
            }
        }
        (None, None) => tally::of(conn, tally::SPACE, &space),
    }
}

impl Clause {
    fn new(space: i64, filter: &DeviceFilter, run: i64) -> Self {
        let DeviceFilter {
            product,
            node,
            gateway,
            cascade,
            name,
            created_from,
            created_until,
            user,
            group,
            tags,
            failing,
            condition,
            order: _,
        } = filter;
        // Whatever narrows more than the space chooses the index.
        let narrow = product.is_some()
            || node.is_some()
            || gateway.is_some()
            || group.is_some()
            || *failing
            || !tags.is_empty();
        let of_space = if narrow { "+d.space = ?" } else { "d.space = ?" };
        let mut clause = Self { sql: "1".into(), values: Vec::new(), run };
        clause.and(of_space, [space]);
        let text = |text: &str| [text.to_owned()];
        if let Some(product) = product.as_ref().map(ProductId::as_str) {
            clause.and("d.product = ?", text(product));
        }
        if let Some(node) = node {
            // The index is of product and node; a space has few products.
            if product.is_none() {
                clause.and(
                    "d.product IN (SELECT id FROM product WHERE space =
                     (SELECT id FROM space WHERE row = ?))",
                    [space],
                );
            }
            clause.and("d.node = ?", text(node));
        }
        match (gateway.as_ref().map(DeviceId::as_str), cascade) {
            (Some(gateway), false) => clause.and("d.gateway = ?", text(gateway)),
            (Some(gateway), true) => clause.and(
                "d.gateway IN (WITH RECURSIVE below (id) AS (VALUES (?) UNION SELECT sub.id
                 FROM below JOIN device sub ON sub.gateway = below.id) SELECT id FROM below)",
                text(gateway),
            ),
            (None, _) => {}
        }
        if let Some(name) = name {
            clause.and("instr(d.name, ?) > 0", text(name));
        }
        if let Some(from) = created_from {
            clause.and("d.created_at >= ?", [from.0]);
        }
        if let Some(until) = created_until {
            clause.and("d.created_at <= ?", [until.0]);
        }
        if let Some(user) = user.as_ref().map(UserId::as_str) {
            clause.and("d.id IN (SELECT device FROM binding WHERE user = ?)", text(user));
        }
        if let Some(group) = group {
            clause.and(
                "d.row IN (SELECT device FROM member WHERE device_group =
                 (SELECT row FROM device_group WHERE id = ?))",
                text(group.as_str()),
            );
        }
        for (key, value) in tags {
            match value {
                Some(value) => clause.and(
                    "d.row IN (SELECT device FROM tag WHERE key = ? AND value = ?)",
                    [key.to_string(), value.to_string()],
                ),
                None => clause.and("d.row IN (SELECT device FROM tag WHERE key = ?)", text(key)),
            }
        }
        if *failing {
            clause.and(
                "d.row IN (SELECT device FROM presence WHERE space = ? AND refused_at IS NOT NULL)",
                [space],
            );
            let run = clause.run;
            let offline = format!("NOT (p.online AND p.run = {run})");
            clause.and(&offline, [0_i64; 0]);
            clause.and("p.refused_at > ifnull(p.online_at, 0)", [0_i64; 0]);
        }
        if let Some(condition) = condition {
            clause.sql.push_str(" AND ");
            clause.condition(condition);
        }
        clause
    }

    /// Adds `AND sql`, its question marks numbered.
    fn and<V: ToSql + 'static>(&mut self, sql: &str, values: impl IntoIterator<Item = V>) {
        self.sql.push_str(" AND ");
        self.add(sql, values);
    }

    fn add<V: ToSql + 'static>(&mut self, sql: &str, values: impl IntoIterator<Item = V>) {
        let mut values = values.into_iter();
        for (n, part) in sql.split('?').enumerate() {
            if n > 0
                && let Some(value) = values.next()
            {
                let name = self.bind(value);
                self.sql.push_str(&name);
            }
            self.sql.push_str(part);
        }
    }

    /// Adds a value and returns its name in the statement.
    fn bind(&mut self, value: impl ToSql + 'static) -> String {
        self.values.push(Box::new(value));
        format!("?{}", self.values.len())
    }

    fn condition(&mut self, condition: &Condition) {
        let (parts, word) = match condition {
            Condition::Test(test) => return self.test(test),
            Condition::All(parts) => (parts, " AND "),
            Condition::Any(parts) => (parts, " OR "),
        };
        for (n, part) in parts.iter().enumerate() {
            self.sql.push_str(if n == 0 { "(" } else { word });
            self.condition(part);
        }
        self.sql.push(')');
    }

    fn test(&mut self, test: &Test) {
        let (before, column, after) = match &test.field {
            Field::Tag(key) => {
                self.add(
                    "EXISTS (SELECT 1 FROM tag WHERE device = d.row AND key = ? AND ",
                    [key.to_string()],
                );
                ("", "value", ")")
            }
            Field::TagKey => ("EXISTS (SELECT 1 FROM tag WHERE device = d.row AND ", "key", ")"),
            Field::TagValue => {
                ("EXISTS (SELECT 1 FROM tag WHERE device = d.row AND ", "value", ")")
            }
            Field::Group => (
                "EXISTS (SELECT 1 FROM member m JOIN device_group g ON g.row = m.device_group
                 WHERE m.device = d.row AND ",
                "g.id",
                ")",
            ),
            Field::Status => return self.status(test),
            // Absent values compare as false, never as NULL.
            Field::Firmware | Field::Software => ("ifnull(", column(&test.field), ", 0)"),
            field @ (Field::Space
            | Field::CreatedAt
            | Field::Device
            | Field::Gateway
            | Field::Name
            | Field::Node
            | Field::NodeType
            | Field::Product) => ("", column(field), ""),
        };
        self.sql.push_str(before);
        self.comparison(column, test);
        self.sql.push_str(after);
    }

    fn status(&mut self, test: &Test) {
        let run = self.run;
        let column = format!(
            "(CASE WHEN d.frozen THEN 'FROZEN' WHEN p.online AND p.run = {run} THEN 'ONLINE'
             WHEN d.activated_at IS NOT NULL THEN 'OFFLINE' ELSE 'INACTIVE' END)"
        );
        self.comparison(&column, test);
    }

    fn comparison(&mut self, column: &str, test: &Test) {
        let op = match test.op {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Gt => ">",
            Op::Lt => "<",
            Op::Ge => ">=",
            Op::Le => "<=",
            Op::Like => "GLOB",
            Op::In => "IN",
            Op::NotIn => "NOT IN",
        };
        self.sql.push_str(&format!("{column} {op} "));
        let names: Vec<String> = test
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Text(text) if test.op == Op::Like => self.bind(glob(text)),
                Operand::Text(text) => self.bind(text.to_string()),
                Operand::Date(date) => self.bind(date.0),
            })
            .collect();
        let names = names.join(", ");
        let listed = matches!(test.op, Op::In | Op::NotIn);
        self.sql.push_str(&if listed { format!("({names})") } else { names });
    }
}

/// Returns the column of a field that has one.
fn column(field: &Field) -> &'static str {
    match field {
        Field::Space => "s.id",
        Field::CreatedAt => "d.created_at",
        Field::Device => "d.id",
        Field::Firmware => {
            "(SELECT value FROM json_each(d.info) WHERE key = 'fw_version' AND type = 'text')"
        }
        Field::Software => {
            "(SELECT value FROM json_each(d.info) WHERE key = 'sw_version' AND type = 'text')"
        }
        Field::Gateway => "ifnull(d.gateway, d.id)",
        Field::Name => "d.name",
        Field::Node => "d.node",
        Field::NodeType => "iif(d.gateway IS NULL, 'GATEWAY', 'ENDPOINT')",
        Field::Product => "d.product",
        // Those of which a device may have several, or that depend on its connection.
        Field::Group | Field::Status | Field::Tag(_) | Field::TagKey | Field::TagValue => "NULL",
    }
}

fn order(filter: &DeviceFilter) -> String {
    let mut text = String::new();
    for order in &filter.order {
        let direction = if order.descending { "DESC" } else { "ASC" };
        text.push_str(&format!("{} {direction}, ", column(&order.field)));
    }
    text + "d.row DESC"
}

/// Returns the pattern in the form of `GLOB`, which minds case.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(c);
                glob.push(']');
            }
            c => glob.push(c),
        }
    }
    glob
}
