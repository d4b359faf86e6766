//! The core by itself: decisions in every shape and size, and loading.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_bench::core::{Asker, engine, engine_of};
use egress_bench::measure::core::{DECIDE, LOAD, SIZES};
use egress_bench::shapes::Shape;

/// Requests asked in turn: those of many policies, so that the processor's caches do not hold the answer.
const ASKERS: usize = 1_024;

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(DECIDE);
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(30);
    for shape in Shape::ALL {
        for policies in SIZES {
            let Ok(engine) = engine(&shape.config(policies)) else {
                continue;
            };
            let positions = shape.positions(policies, ASKERS);
            let askers: Vec<Asker> =
                positions.into_iter().map(|at| Asker::new(&shape.probe_of(at))).collect();
            let mut turn = askers.iter().cycle();
            group.bench_function(BenchmarkId::new(shape.name(), policies), |bencher| {
                bencher.iter(|| turn.next().map(|asker| black_box(asker.is_admitted(black_box(&engine)))));
            });
        }
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(LOAD);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1)).sample_size(10);
    for policies in SIZES {
        let text = Shape::Namespaces.config(policies).to_string();
        group.bench_function(BenchmarkId::new(Shape::Namespaces.name(), policies), |bencher| {
            bencher.iter(|| engine_of(black_box(text.as_bytes())));
        });
    }
    group.finish();
}

criterion_group!(benches, decide, load);
criterion_main!(benches);
