//! Exact save and restore of a block, for bit-exact resume.
//!
//! Format (little endian): `PVLENV2\0`, then each array in the fixed order of [`EnvBlock::visit`], with `u64` lengths. What follows
//! from these (physical parameters, which are functions of seed, world and episode; scratch) is computed again.

use super::block::EnvBlock;
use crate::columns::tape::Tape;
use crate::error::EnvError;

const MAGIC: &[u8; 8] = b"PVLENV2\0";

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
        let place = [self.first as u64, self.worlds as u64, self.plan.shared.options.seed];
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
        tape.array("counters and sums", &mut self.kept.exact)?;
        tape.array("kept numbers", &mut self.kept.single)?;
        tape.array("observation", &mut self.seen)?;
        self.programs.visit(tape)
    }
}
