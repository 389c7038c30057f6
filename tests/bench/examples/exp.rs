#![allow(warnings)]
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker};
use wasmtime::*;
use paramedic::host::bindings::CheckPre;
use paramedic::host::bindings::exports::paramedic::plugin::plugin::{Mode, RunContext};
fn ctx() -> RunContext { RunContext { run_id: "x".into(), incident_id: None, trigger: "manual".into(), mode: Mode::Check, started: 0, time_limit: 1.0, labels: vec![] } }
fn pool(slots: u32, f: impl Fn(&mut PoolingAllocationConfig)) -> Config {
    let mut p = PoolingAllocationConfig::new();
    p.total_component_instances(slots).total_stacks(slots).max_core_instances_per_component(64).total_core_instances(slots*16)
     .max_memories_per_component(4).total_memories(slots*2).max_tables_per_component(16).total_tables(slots*4).table_elements(100000)
     .max_memory_size(256<<20).linear_memory_keep_resident(1<<20).pagemap_scan(Enabled::Auto);
    f(&mut p);
    let mut c = Config::new(); c.allocation_strategy(InstanceAllocationStrategy::Pooling(p)); c
}
fn main() {
    println!("scan {}", PoolingAllocationConfig::is_pagemap_scan_available());
    let file = std::env::args().nth(1).unwrap_or("target/guests/noop.wasm".into());
    let variants: Vec<(&str, Config)> = vec![
        ("as is", pool(160, |_| {})),
        ("table resident 1M", pool(160, |p| { p.table_keep_resident(1<<20); })),
        ("table resident + stack 64k", pool(160, |p| { p.table_keep_resident(1<<20); p.async_stack_keep_resident(64<<10); })),
        ("table + batch 32", pool(160, |p| { p.table_keep_resident(1<<20); p.decommit_batch_size(32); })),
        ("small tables", pool(160, |p| { p.table_elements(2000).table_keep_resident(1<<20); })),
        ("small tables no resident", pool(160, |p| { p.table_elements(2000); })),
        ("mem resident 4M + table", pool(160, |p| { p.table_keep_resident(1<<20).linear_memory_keep_resident(4<<20); })),
        ("mem max 64M + table", pool(160, |p| { p.table_keep_resident(1<<20).max_memory_size(64<<20); })),
    ];
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pres: Vec<_> = variants.into_iter().map(|(n, c)| {
        let e = Engine::new(&c).unwrap();
        let comp = Component::from_file(&e, &file).unwrap();
        let mut l: Linker<()> = Linker::new(&e);
        l.define_unknown_imports_as_traps(&comp).unwrap();
        (n, e.clone(), CheckPre::new(l.instantiate_pre(&comp).unwrap()).unwrap())
    }).collect();
    async fn one(e: &Engine, pre: &CheckPre<()>) {
        let mut s = Store::new(e, ());
        let p = pre.instantiate_async(&mut s).await.unwrap();
        p.paramedic_plugin_plugin().call_run(&mut s, &ctx(), &"{}".to_string()).await.unwrap().unwrap();
    }
    for round in 0..2 {
    for (n, e, pre) in &pres {
        rt.block_on(async { for _ in 0..200 { one(e, pre).await } });
        let mut t = vec![];
        let (u0, s0) = cpu();
        rt.block_on(async { for _ in 0..3000 { let b = Instant::now(); one(e, pre).await; t.push(b.elapsed().as_nanos()); } });
        let (u1, s1) = cpu();
        t.sort();
        let f0 = faults();
        let b = Instant::now();
        let hs: Vec<_> = (0..2).map(|_| { let (e, pre) = (e.clone(), pre.clone()); std::thread::spawn(move || { let rt = tokio::runtime::Builder::new_current_thread().build().unwrap(); rt.block_on(async { let mut n = 0; while b.elapsed() < Duration::from_millis(400) { one(&e, &pre).await; n += 1 } n }) }) }).collect();
        let total: u32 = hs.into_iter().map(|h| h.join().unwrap()).sum();
        let f1 = faults();
        println!("{n:28} p50 {:6.1} us  user {:.1} sys {:.1} us | 2 threads {:7.0}/s | faults/run {:.1}", t[t.len()/2] as f64/1e3, (u1-u0)/3000.0, (s1-s0)/3000.0, total as f64/0.4, (f1-f0) as f64/total as f64);
    }
    }
}
fn cpu() -> (f64, f64) { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (v[11].parse::<f64>().unwrap()*1e4, v[12].parse::<f64>().unwrap()*1e4) }
fn faults() -> u64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); v[7].parse().unwrap() }
