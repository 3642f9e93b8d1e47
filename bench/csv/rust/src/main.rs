//! The drivers of the Rust crates csv and simd-csv; ../drive.h says what a driver does.
//!
//!     bench-csv-rust FILE PASSES csv|simd-csv|simd-csv-copy

use std::io::Read;
use std::process::exit;

const CAPACITY: usize = 256 * 1024;

#[derive(Default)]
struct Tally {
    rows: u64,
    cells: u64,
    bytes: u64,
    hash: u64,
    hashing: bool,
}

impl Tally {
    fn hash(&mut self, data: &[u8], end: u8) {
        for byte in data.iter().chain([&end]) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x100000001b3);
        }
    }

    #[inline(always)]
    fn cell(&mut self, data: &[u8]) {
        self.cells += 1;
        self.bytes += data.len() as u64;
        if self.hashing {
            self.hash(data, 0x1f);
        }
    }

    #[inline(always)]
    fn row(&mut self) {
        self.rows += 1;
        if self.hashing {
            self.hash(&[], 0x1e);
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn by_csv(data: &[u8], tally: &mut Tally) -> Result<(), Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .buffer_capacity(CAPACITY)
        .from_reader(data);
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        record.iter().for_each(|cell| tally.cell(cell));
        tally.row();
    }
    Ok(())
}

/// Cells are copied only when they hold quotes.
fn by_simd_csv(data: &[u8], tally: &mut Tally) -> Result<(), Failure> {
    let mut reader = simd_csv::ZeroCopyReaderBuilder::with_capacity(CAPACITY)
        .has_headers(false)
        .from_reader(data);
    while let Some(record) = reader.read_byte_record()? {
        record.unescaped_iter().for_each(|cell| tally.cell(&cell));
        tally.row();
    }
    Ok(())
}

fn by_simd_csv_copy(data: &[u8], tally: &mut Tally) -> Result<(), Failure> {
    let mut reader = simd_csv::ReaderBuilder::with_capacity(CAPACITY)
        .has_headers(false)
        .from_reader(data);
    let mut record = simd_csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        record.iter().for_each(|cell| tally.cell(cell));
        tally.row();
    }
    Ok(())
}

fn cpu_s() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn run(path: &str, passes: u32, parse: fn(&[u8], &mut Tally) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut data = Vec::new();
    std::fs::File::open(path)?.read_to_end(&mut data)?;
    let mut first = Tally { hash: 0xcbf29ce484222325, hashing: true, ..Tally::default() };
    parse(&data, &mut first)?;
    let mut seconds = Vec::new();
    for _ in 0..passes {
        let mut tally = Tally::default();
        let begin = cpu_s();
        parse(&data, &mut tally)?;
        seconds.push(format!("{:.6}", cpu_s() - begin));
        if tally.bytes != first.bytes {
            return Err("two passes found different cells".into());
        }
    }
    println!(
        "{{\"rows\": {}, \"cells\": {}, \"bytes\": {}, \"hash\": \"{:016x}\", \"cpu_s\": [{}]}}",
        first.rows, first.cells, first.bytes, first.hash, seconds.join(", ")
    );
    Ok(())
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let passes = args.get(2).and_then(|text| text.parse().ok()).unwrap_or(0);
    let parse = match args.get(3).map(String::as_str) {
        Some("csv") => by_csv,
        Some("simd-csv") => by_simd_csv,
        Some("simd-csv-copy") => by_simd_csv_copy,
        _ => {
            eprintln!("usage: bench-csv-rust FILE PASSES csv|simd-csv|simd-csv-copy");
            exit(2);
        }
    };
    if let Err(error) = run(&args[1], passes, parse) {
        eprintln!("bench-csv-rust: {error}");
        exit(1);
    }
}
