//! Exact save and restore of a block, for bit-exact resume.
//!
//! Format (little endian): `PVLENV1\0`, then the block's shape as `u32`s (worlds, nq, nv, nu, observation columns, channels, terms,
//! metrics, memory), then each array in the fixed order of [`EnvBlock::visit`], with `u64` lengths. What follows from these (physical
//! parameters, which are functions of seed, world and episode; scratch) is computed again.

use crate::block::EnvBlock;
use crate::error::EnvError;
use pavlov_physics::{LANES, Lane};

const MAGIC: &[u8; 8] = b"PVLENV1\0";

/// Writes or reads one array after another; the same walk serves both, so that they cannot drift apart.
pub(crate) enum Tape<'a> {
    /// Appending.
    Write(&'a mut Vec<u8>),
    /// What is left to read.
    Read(&'a [u8]),
}

/// A number with a fixed size in the file.
pub(crate) trait Word: Copy {
    const SIZE: usize;
    fn put(self, bytes: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for $t {
            const SIZE: usize = size_of::<$t>();
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$t>()];
                raw.copy_from_slice(bytes);
                <$t>::from_le_bytes(raw)
            }
        }
    )*};
}
word!(u32, u64, f32, f64);

impl Word for Lane {
    const SIZE: usize = 4 * LANES;
    fn put(self, bytes: &mut Vec<u8>) {
        self.to_array().into_iter().for_each(|v| v.put(bytes));
    }
    fn get(bytes: &[u8]) -> Self {
        let mut values = [0.0f32; LANES];
        for (v, raw) in values.iter_mut().zip(bytes.chunks_exact(4)) {
            *v = f32::get(raw);
        }
        Lane::from(values)
    }
}

impl Tape<'_> {
    /// Bytes whose length the block does not know.
    pub fn bytes(&mut self, what: &str, values: &mut Vec<u8>) -> Result<(), EnvError> {
        let mut length = [values.len() as u64];
        self.array(what, &mut length)?;
        match self {
            Tape::Write(bytes) => bytes.extend_from_slice(values),
            Tape::Read(bytes) => {
                let own = usize::try_from(length[0]).ok().and_then(|n| bytes.split_at_checked(n));
                let (own, rest) = own.ok_or_else(|| EnvError::State(format!("{what}: the data end")))?;
                *values = own.to_vec();
                *bytes = rest;
            }
        }
        Ok(())
    }

    /// One array whose length the block knows.
    pub fn array<T: Word>(&mut self, what: &str, values: &mut [T]) -> Result<(), EnvError> {
        match self {
            Tape::Write(bytes) => {
                (values.len() as u64).put(bytes);
                values.iter().for_each(|v| v.put(bytes));
            }
            Tape::Read(bytes) => {
                let wrong =
                    |found: String| EnvError::State(format!("{what}: {found}, expected {} values", values.len()));
                if bytes.len() < 8 {
                    return Err(wrong("the data end".to_string()));
                }
                let (length, rest) = bytes.split_at(8);
                let length = u64::get(length);
                if length != values.len() as u64 {
                    return Err(wrong(format!("{length} values")));
                }
                if rest.len() < values.len() * T::SIZE {
                    return Err(wrong("the data end".to_string()));
                }
                let (own, rest) = rest.split_at(values.len() * T::SIZE);
                for (v, raw) in values.iter_mut().zip(own.chunks_exact(T::SIZE)) {
                    *v = T::get(raw);
                }
                *bytes = rest;
            }
        }
        Ok(())
    }
}

impl EnvBlock {
    /// The whole state: worlds, open episodes and their sums, commands, script memories.
    pub fn save(&mut self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Writing cannot fail: lengths are the block's own.
        if let Err(error) = self.visit(&mut Tape::Write(&mut bytes)) {
            unreachable!("writing a state: {error}");
        }
        bytes
    }

    /// Takes over a state saved by a block of the same task, reward, seed and place. On an error the block must be reset.
    ///
    /// # Errors
    /// [`EnvError::State`] when the bytes are cut, damaged, or of another task or reward.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        let Some(rest) = bytes.strip_prefix(MAGIC.as_slice()) else {
            return Err(EnvError::State("not the state of an environment block of this version".to_string()));
        };
        let mut tape = Tape::Read(rest);
        self.visit(&mut tape)?;
        if let Tape::Read(rest) = tape
            && !rest.is_empty()
        {
            return Err(EnvError::State(format!("{} bytes too many: expected the end", rest.len())));
        }
        self.redraw_parameters();
        Ok(())
    }

    fn visit(&mut self, tape: &mut Tape<'_>) -> Result<(), EnvError> {
        let place = [self.first as u64, self.worlds as u64, self.shared.options.seed];
        let mut found = place;
        tape.array("place", &mut found)?;
        if found != place {
            let [first, worlds, seed] = found;
            let message = format!(
                "of worlds {first}.. ({worlds}) under seed {seed}: expected {}.. ({}) under seed {}",
                place[0], place[1], place[2]
            );
            return Err(EnvError::State(message));
        }
        for state in &mut self.states {
            tape.array("qpos", &mut state.qpos)?;
            tape.array("qvel", &mut state.qvel)?;
            tape.array("qacc_warmstart", &mut state.qacc_warmstart)?;
            tape.array("time", std::slice::from_mut(&mut state.time))?;
        }
        let w = &mut self.w;
        tape.array("episode", &mut w.episode)?;
        tape.array("step", &mut w.step)?;
        tape.array("head_start", &mut w.head_start)?;
        tape.array("next_command", &mut w.next_command)?;
        tape.array("next_push", &mut w.next_push)?;
        tape.array("command", &mut w.command.0)?;
        tape.array("push", &mut w.push.0)?;
        tape.array("action", &mut w.action.0)?;
        tape.array("prev_action", &mut w.prev_action.0)?;
        tape.array("queue", &mut w.queue.0)?;
        let mut head = [w.queue_head as u64];
        tape.array("queue_head", &mut head)?;
        w.queue_head = (head[0] as usize) % self.shared.task.action.delay.max(1);
        tape.array("reward", &mut w.reward)?;
        tape.array("fitness", &mut w.fitness)?;
        tape.array("success", &mut w.success)?;
        tape.array("terms", &mut w.terms)?;
        tape.array("metrics", &mut w.metrics)?;
        tape.array("observation", &mut self.obs.0)?;
        self.scripts.visit(tape)
    }
}
