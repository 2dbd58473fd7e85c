//! One direction of one connection: a reader that stamps when each piece is due, a bounded
//! queue, and a writer that waits for it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::rules::Direction;
use super::{Fate, Shared};
use crate::rng::Rng;

/// Pieces between reader and writer; at 16 kB each a connection holds at most 2 MB per way.
const PIECES: usize = 128;
const PIECE_BYTES: usize = 16 << 10;

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

pub(super) fn spawn(
    direction: Direction,
    from: TcpStream,
    to: TcpStream,
    shared: Arc<Shared>,
    fate: Arc<Fate>,
    seed: u64,
) {
    let (queue, due) = sync_channel(PIECES);
    let (reading, doomed) = (Arc::clone(&shared), Arc::clone(&fate));
    std::thread::spawn(move || read(direction, from, &queue, &reading, &doomed, seed));
    std::thread::spawn(move || write(direction, to, &due, &shared, &fate));
}

fn read(
    direction: Direction,
    mut from: TcpStream,
    queue: &SyncSender<Piece>,
    shared: &Shared,
    fate: &Fate,
    seed: u64,
) {
    let mut rng = Rng::new(seed);
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let rule = shared.rules.get(direction);
        if rule.swallow {
            fate.lossy.store(true, Ordering::SeqCst);
            if shared.rules.get(direction).swallow {
                continue;
            }
            // Healed in this very moment, perhaps before the loss was noted: not to live on.
            let _gone = from.shutdown(Shutdown::Both);
            return;
        }
        let jitter = Duration::from_micros(rng.below(rule.jitter.as_micros() as u64 + 1));
        let due = Instant::now() + rule.latency + jitter;
        if queue.send(Piece { due, bytes: buffer[..count].to_vec() }).is_err() {
            return;
        }
    }
}

fn write(
    direction: Direction,
    mut to: TcpStream,
    queue: &Receiver<Piece>,
    shared: &Shared,
    fate: &Arc<Fate>,
) {
    let mut carried = 0_u64;
    while let Ok(piece) = queue.recv() {
        let Some(rule) = shared.rules.pass(direction, piece.due) else { break };
        carried += piece.bytes.len() as u64;
        if rule.reset_after > 0 && carried > rule.reset_after {
            let over = (carried - rule.reset_after).min(piece.bytes.len() as u64) as usize;
            let _partial = to.write_all(&piece.bytes[..piece.bytes.len() - over]);
            let _rst = SockRef::from(&to).set_linger(Some(Duration::ZERO));
            break;
        }
        let size = if rule.fragment == 0 { piece.bytes.len() } else { rule.fragment };
        if piece.bytes.chunks(size.max(1)).any(|part| to.write_all(part).is_err()) {
            break;
        }
        if rule.bytes_per_second > 0 {
            let takes = piece.bytes.len() as f64 / rule.bytes_per_second as f64;
            let free = Instant::now() + Duration::from_secs_f64(takes);
            if shared.rules.pass(direction, free).is_none() {
                break;
            }
        }
    }
    if direction == Direction::ToClient && fate.half_open.load(Ordering::SeqCst) {
        return;
    }
    // The other direction may still be under way; both ends learn of the end by its closing.
    let _gone = to.shutdown(Shutdown::Both);
    shared.sweep(fate);
}
