//! What the reports of one server say, by row.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    rows::{Row, rows, services},
    site::url,
};
use crate::harness::{Server, ServerDirectory};

/// The names and types of some answers.
pub(super) type AnsweredNames = BTreeSet<(String, String)>;

/// The reports of one server at one moment.
#[derive(Debug)]
pub(super) struct ReportSet {
    /// `status datacenters --json`, which is the document of all views but the list of services.
    pub(super) status: Value,
    /// `status services --json`, by name.
    services: BTreeMap<String, Value>,
    /// `status NAME --json` of each service.
    subjects: BTreeMap<String, Value>,
    /// The explanation for the first client of each row.
    explained: Vec<Value>,
}

impl ReportSet {
    /// Reads all reports: the lists by the commands of an operator, the others as the documents
    /// that the commands print.
    pub(super) fn read(directory: &ServerDirectory, server: &Server) -> Self {
        let url = url(server);
        let view = |view: &str| -> Value {
            let (code, out, err) = directory.run(&["status", view, "--json", "--server", &url]);
            assert_eq!(code, 0, "{view}: {out}{err}");
            serde_json::from_str(&out).unwrap()
        };
        let entries = view("services")["entries"].take();
        let subject = |name: &str| {
            let path = format!("/api/v1/subjects/{name}");
            (name.to_owned(), document(server, &path))
        };
        Self {
            status: view("datacenters"),
            services: list(&entries).map(|entry| (text(&entry["name"]), entry.clone())).collect(),
            subjects: services().map(subject).collect(),
            explained: rows().into_iter().map(|row| explanation(server, row)).collect(),
        }
    }

    /// The datacenters that the answers of a service name, as the list of services has them.
    pub(super) fn datacenters_of(&self, service: &str) -> BTreeSet<String> {
        list(&self.services[service]["datacenters"]).map(text).collect()
    }

    /// The least and the greatest share of each member in the answers of one type, in percent, as
    /// `status NAME` has them; `None` if it says nothing about the type.
    pub(super) fn share_ranges(
        &self,
        service: &str,
        rtype: &str,
    ) -> Option<BTreeMap<String, (f64, f64)>> {
        let answers = list(&self.subjects[service]["services"][0]["answers"])
            .find(|answers| answers["type"] == rtype)?;
        let range = |member: &Value| {
            // Other groups of clients do not get the member.
            let is_for_all = member["groups"] == answers["groups"];
            let least = if is_for_all { number(&member["least-percent"]) } else { 0.0 };
            (text(&member["name"]), (least, number(&member["greatest-percent"])))
        };
        Some(list(&answers["members"]).map(range).collect())
    }

    /// The groups of clients with different answers to one type, each with an example.
    pub(super) fn examples(&self, row: Row) -> impl Iterator<Item = &Value> {
        list(&self.subjects[row.service]["services"][0]["answers"])
            .filter(move |answers| answers["type"] == row.rtype)
            .flat_map(|answers| list(&answers["examples"]))
    }

    /// The members of the pool of a service, as the table of `status NAME` has them.
    pub(super) fn pool_members(&self, service: &str) -> impl Iterator<Item = &Value> {
        list(&self.subjects[service]["services"][0]["pools"][0]["members"])
    }

    /// The shares of a `load` pool in the status document, in percent.
    pub(super) fn load_shares(&self, pool: &str) -> BTreeMap<String, f64> {
        let found = list(&self.status["pools"]).find(|found| found["name"] == pool);
        let shares = found.map(|pool| list(&pool["shares"])).into_iter().flatten();
        shares.map(|share| (text(&share[0]), number(&share[1]) * 100.0)).collect()
    }

    /// The explanation of a row, by its number.
    pub(super) fn explanation(&self, index: usize) -> &Value {
        &self.explained[index]
    }
}

/// The document that `explain --json` prints, for the first client of a row.
fn explanation(server: &Server, Row { service, rtype, area }: Row) -> Value {
    let [a, b, c] = area.client(0);
    let client = format!("client={a}.{b}.{c}.1&subnet={a}.{b}.{c}.0/24");
    document(server, &format!("/api/v1/explain?name={service}&type={rtype}&{client}"))
}

fn document(server: &Server, path: &str) -> Value {
    let (code, body) = server.http(path);
    assert_eq!(code, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The share of each member that an explanation says for each record type that it evaluates.
pub(super) fn explained_shares(explanation: &Value) -> Vec<BTreeMap<String, f64>> {
    let steering = list(&explanation["steps"]).map(|step| &step["steering"]);
    let attempts = steering.filter(|steering| !steering.is_null()).map(|steering| {
        let mut shares = BTreeMap::new();
        list(&steering["attempts"])
            .filter(|attempt| attempt["is-answering"] == true)
            .for_each(|attempt| add_shares(&attempt["pool"], 1.0, &mut shares));
        shares
    });
    attempts.collect()
}

fn add_shares(pool: &Value, part: f64, shares: &mut BTreeMap<String, f64>) {
    for member in list(&pool["members"]) {
        let percent = number(&member["percent"]) * part;
        if percent > 0.0 && member["pool"].is_null() {
            *shares.entry(text(&member["name"])).or_default() += percent;
        } else if percent > 0.0 {
            add_shares(&member["pool"], percent / 100.0, shares);
        }
    }
}

/// The names and types of a list `still-answered`.
pub(super) fn names_and_types(still_answered: &Value) -> AnsweredNames {
    list(still_answered).map(|entry| (text(&entry["service"]), text(&entry["type"]))).collect()
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}
