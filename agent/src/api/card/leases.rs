//! Cards of leases.

use super::page::{Page, Paint, Tone};
use super::table::table;
use super::text::one_line;
use crate::api::shape::{HeldLease, Lease, LeaseList};

/// The card of all of them.
pub fn leases(list: &LeaseList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.leases.is_empty() {
        page.line("Nothing is held on a lease.");
        return page.into_text();
    }
    let columns = ["until", "state", "plugin", "for", "holds"].map(str::to_owned);
    let rows: Vec<_> = list.leases.iter().map(row).collect();
    let lines = table(&columns, &rows);
    for (index, line) in lines.iter().enumerate() {
        let line = if index == 0 { page.tone(Tone::Faint, line) } else { line.clone() };
        page.line(line);
        let lease = index.checked_sub(1).and_then(|index| list.leases.get(index));
        if let Some(held) = lease {
            // On a line of its own, where it is never cut: it is what one types next.
            page.line(format!("      run {}", one_line(&held.lease.run)));
            held.replica.iter().for_each(|name| page.line(format!("      made by the replica {}", one_line(name))));
            held.lease.reason.iter().for_each(|reason| page.line(format!("      {}", one_line(reason))));
        }
    }
    page.into_text()
}

fn row(held: &HeldLease) -> Vec<String> {
    let holds = match held.holds.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    };
    let lease = &held.lease;
    let state = lease.state.as_str().to_owned();
    vec![lease.until.clone(), state, held.plugin.clone(), held.actor.clone(), holds]
}

/// The card of one.
pub fn lease(lease: &Lease, paint: Paint) -> String {
    let mut page = Page::new(paint);
    page.line(line(lease));
    page.into_text()
}

/// A lease in one line.
pub(super) fn line(lease: &Lease) -> String {
    let (run, until) = (one_line(&lease.run), one_line(&lease.until));
    match (lease.state.as_str(), &lease.ended_by, &lease.reason) {
        ("held", ..) => format!("the changes of run {run} are given back at {until}"),
        ("ended", Some(by), _) => format!("the changes of run {run} were given back by run {}", one_line(by)),
        ("ended", None, _) => format!("there is nothing of run {run} to give back"),
        (_, _, reason) => {
            let reason = reason.as_deref().unwrap_or("nobody knows why");
            format!("the changes of run {run} could not be given back: {}", one_line(reason))
        }
    }
}
