//! One zone of static A records: 10,000, 100,000 and 1,000,000.

use std::{fmt::Write, fs, io, net::Ipv4Addr, path::Path};

use super::{Case, Edit, measure, peers::Peer, process::ExpectedAnswer};

const EDITED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

pub(crate) fn run() -> io::Result<()> {
    let sizes = [10_000, 100_000, 1_000_000];
    for peer in [Peer::Portolan, Peer::Gdnsd { is_replaced: false }, Peer::Knot] {
        let writers: Vec<_> = sizes
            .iter()
            .map(|&size| move |directory: &Path| write(directory, peer, size))
            .collect();
        let cases: Vec<_> =
            sizes.iter().zip(&writers).map(|(&size, write)| case(peer, size, write)).collect();
        measure(peer, "records", &cases)?;
    }
    Ok(())
}

fn case<'c>(peer: Peer, size: usize, write: &'c dyn Fn(&Path) -> io::Result<()>) -> Case<'c> {
    let middle = size / 2;
    let name = format!("h{middle}.x.example");
    let line = |address| format!("h{middle} A {address}\n");
    Case {
        size,
        write,
        first: ExpectedAnswer { name: name.clone(), address: address(middle) },
        edit: Some(Edit {
            file: file(peer),
            old: line(address(middle)),
            new: line(EDITED),
            then: ExpectedAnswer { name, address: EDITED },
        }),
    }
}

fn file(peer: Peer) -> &'static str {
    match peer {
        Peer::Gdnsd { .. } => "zones/x.example",
        _ => "zones/x.example.zone",
    }
}

fn address(record: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + record as u32)
}

fn write(directory: &Path, peer: Peer, count: usize) -> io::Result<()> {
    fs::create_dir_all(directory.join("zones"))?;
    let mut text = String::from(
        "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 900 1209600 60\n@ NS ns1.example.com.\n",
    );
    for record in 0..count {
        writeln!(text, "h{record} A {}", address(record)).map_err(io::Error::other)?;
    }
    fs::write(directory.join(file(peer)), text)
}
