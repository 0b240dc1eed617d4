//! The prober: each target is probed when due, whatever the others do.

use super::*;

fn tcp_key(address: SocketAddr, interval_ms: u64) -> ProbeKey {
    let mut monitor = monitor(Check::Tcp(TcpCheck { port: address.port() }));
    monitor.interval = Duration::from_millis(interval_ms);
    monitor.timeout = monitor.interval / 2;
    ProbeKey { monitor: Arc::new(monitor), target: ProbeTarget::Address(address.ip()) }
}

fn start_prober() -> (Prober, mpsc::Receiver<ProbeReport>) {
    let (reports, inbox) = mpsc::channel(1024);
    let limits =
        SchedulerLimits { in_flight: NonZeroUsize::new(1024).unwrap(), extra_descriptors: 64 };
    (Prober::start(limits, std::time::Instant::now(), reports), inbox)
}

#[tokio::test]
async fn each_target_is_reported_once_per_interval_and_the_first_round_can_be_awaited() {
    let (up, down) = (listen(LOOPBACK), listen(LOOPBACK));
    let (up_key, down_key) =
        (tcp_key(up.local_addr().unwrap(), 100), tcp_key(down.local_addr().unwrap(), 100));
    drop(down);
    let (prober, mut inbox) = start_prober();
    prober.wait_for_first_round().await;
    prober.set_keys(vec![up_key.clone(), down_key.clone(), up_key.clone()]).await;
    prober.wait_for_first_round().await;
    assert!(prober.read_counts().passed + prober.read_counts().failed >= 2);
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    while ups.len() < 6 || downs.len() < 6 {
        let report = inbox.recv().await.unwrap();
        let (seen, is_up) =
            if report.key == up_key { (&mut ups, true) } else { (&mut downs, false) };
        assert_eq!(report.outcome.is_pass(), is_up);
        seen.push(report.ended_at);
    }
    assert!(ups.len().abs_diff(downs.len()) <= 2, "{} {}", ups.len(), downs.len());
    assert!(ups.is_sorted());
}

#[tokio::test]
async fn a_removed_target_is_not_probed_and_a_kept_one_keeps_its_schedule() {
    let (stays, goes) = (listen(LOOPBACK), listen(LOOPBACK));
    let (stays_key, goes_key) =
        (tcp_key(stays.local_addr().unwrap(), 200), tcp_key(goes.local_addr().unwrap(), 200));
    let (prober, mut inbox) = start_prober();
    prober.set_keys(vec![stays_key.clone(), goes_key]).await;
    prober.wait_for_first_round().await;
    // If the schedule were not kept, each call would start the first probes again.
    for _ in 0..50 {
        prober.set_keys(vec![stays_key.clone()]).await;
    }
    while inbox.try_recv().is_ok() {}
    let mut last = inbox.recv().await.unwrap().ended_at;
    for _ in 0..3 {
        let report = inbox.recv().await.unwrap();
        assert_eq!(report.key, stays_key);
        assert!(
            report.ended_at - last >= Duration::from_millis(100),
            "{:?}",
            report.ended_at - last
        );
        last = report.ended_at;
    }
}

#[tokio::test]
async fn targets_that_hang_do_not_hold_up_the_others() {
    const EVERY_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let good = listen(EVERY_LOOPBACK);
    let (hanging, _) = serve_at(EVERY_LOOPBACK, ServerScript::Hang).await;
    let good_address = good.local_addr().unwrap();
    let mut hang = monitor(Check::Http(http(hanging.port())));
    hang.interval = Duration::from_millis(400);
    let hang = Arc::new(hang);
    let good = Arc::clone(&tcp_key(good_address, 400).monitor);
    let keys: Vec<_> = (1..=50)
        .flat_map(|host| [(&good, host), (&hang, 100 + host)])
        .map(|(monitor, host)| ProbeKey {
            monitor: Arc::clone(monitor),
            target: ProbeTarget::Address(Ipv4Addr::new(127, 0, 0, host).into()),
        })
        .collect();
    let (prober, mut inbox) = start_prober();
    prober.set_keys(keys).await;
    let (mut passes, mut timeouts) = (0, 0);
    while timeouts < 100 {
        match inbox.recv().await.unwrap().outcome.result {
            Ok(()) => passes += 1,
            Err(Failure::TimedOut(_)) => timeouts += 1,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(passes + 50 >= timeouts, "{passes} passes while {timeouts} timeouts");
}

#[tokio::test]
async fn an_unread_report_stops_only_its_target() {
    let listener = listen(LOOPBACK);
    let key = tcp_key(listener.local_addr().unwrap(), 50);
    let (reports, mut inbox) = mpsc::channel(1);
    let limits =
        SchedulerLimits { in_flight: NonZeroUsize::new(8).unwrap(), extra_descriptors: 64 };
    let prober = Prober::start(limits, std::time::Instant::now(), reports);
    prober.set_keys(vec![key]).await;
    while prober.read_counts().skipped < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(prober.read_counts().in_flight, 1);
    assert!(inbox.recv().await.unwrap().outcome.is_pass());
    drop(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    assert!(inbox.recv().await.unwrap().outcome.is_pass());
}

#[tokio::test]
async fn a_monitor_that_cannot_work_gives_no_outcome_and_is_reported() {
    let listener = listen(LOOPBACK);
    let mut key = tcp_key(listener.local_addr().unwrap(), 50);
    let options = TlsOptions {
        authorities: Some(std::path::Path::new("/nonexistent/ca.pem").into()),
        ..TlsOptions::default()
    };
    let port = listener.local_addr().unwrap().port();
    let check =
        Check::Tls(TlsCheck { port, host: None, tls: options, expiry: None, proxy_protocol: None });
    key.monitor = Arc::new(Monitor { check, ..(*key.monitor).clone() });
    let (prober, mut inbox) = start_prober();
    prober.set_keys(vec![key.clone()]).await;
    let faults = prober.monitor_faults();
    assert_eq!(&*faults[0].0, &*key.monitor.name);
    assert!(faults[0].1.to_string().contains("/nonexistent/ca.pem"), "{}", faults[0].1);
    while prober.read_counts().discarded < 2 {
        tokio::task::yield_now().await;
    }
    assert!(inbox.try_recv().is_err(), "no outcome");
    prober.set_keys(Vec::new()).await;
    assert!(prober.monitor_faults().is_empty());
}
