//! What an environment keeps of a world from one control step to the next, besides its physical state: one list for every device.
//!
//! The processor keeps it in [`super::store::Columns`], a kernel in the columns of one buffer, and saving writes it whole.

/// The entry functions of the scripts, in the order in which their memories are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Reward,
    Fitness,
    Success,
    Terminated,
    Metrics,
    Observation,
}

impl Entry {
    pub const ALL: [Self; 6] =
        [Self::Reward, Self::Fitness, Self::Success, Self::Terminated, Self::Metrics, Self::Observation];
}

/// One number of each world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Column {
    /// Among the columns of its precision.
    pub index: usize,
    /// A counter or a sum: `f64` on the processor. Everything else is `f32`.
    pub exact: bool,
}

/// Columns side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    first: Column,
    /// How many.
    pub len: usize,
}

impl Span {
    /// Column `i` of them.
    pub fn at(self, i: usize) -> Column {
        debug_assert!(i < self.len, "column {i} of {}", self.len);
        Column { index: self.first.index + i, ..self.first }
    }

    /// The only one of them.
    pub fn one(self) -> Column {
        self.at(0)
    }

    /// All of them.
    pub fn columns(self) -> impl Iterator<Item = Column> {
        (0..self.len).map(move |i| self.at(i))
    }
}

/// How many columns a task and its reward ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub commands: usize,
    pub actions: usize,
    /// Control steps by which actions are late.
    pub delay: usize,
    /// Inputs of scripts that are of the state before the step.
    pub previous: usize,
    /// Numbers that each entry function remembers.
    pub memory: [usize; 6],
    pub nodes: usize,
    pub metrics: usize,
}

macro_rules! kept {
    ($counts:ident; $($(#[$doc:meta])* $name:ident: $precision:ident[$len:expr];)*) => {
        /// Where each kept number of a world stands.
        #[derive(Debug, Clone)]
        pub(crate) struct Layout {
            $($(#[$doc])* pub $name: Span,)*
            /// Counters and sums in all.
            pub exact: usize,
            /// Other columns in all.
            pub single: usize,
            memory_of: [usize; 6],
        }

        impl Layout {
            pub fn new($counts: &Counts) -> Self {
                let mut next = [0, 0];
                let mut span = |precision, len| {
                    let exact = precision == "exact";
                    let index = next[usize::from(exact)];
                    next[usize::from(exact)] += len;
                    Span { first: Column { index, exact }, len }
                };
                $(let $name = span(stringify!($precision), $len);)*
                Self { $($name,)* exact: next[1], single: next[0], memory_of: $counts.memory }
            }

            /// All of them, in order.
            pub fn spans(&self) -> Vec<Span> {
                vec![$(self.$name),*]
            }
        }
    };
}

kept! { counts;
    /// Episodes begun before this one.
    episode: exact[1];
    /// Control steps of this episode so far.
    step: exact[1];
    /// Control steps by which the time limit of this episode is shortened (staggered starts).
    head_start: exact[1];
    /// Step of the next draw of commands.
    next_command: exact[1];
    /// Step of the next push.
    next_push: exact[1];
    /// Where the ring of delayed actions begins.
    queue_head: exact[1];
    /// Sums over the episode: the reward,
    reward: exact[1];
    /// the fitness as its reduction wants it,
    fitness: exact[1];
    /// steps of success,
    success: exact[1];
    /// each node of the reward,
    nodes: exact[counts.nodes];
    /// each diagnostic metric.
    metrics: exact[counts.metrics];
    /// Command values.
    command: single[counts.commands];
    /// Velocity of the last push, world x and y.
    push: single[2];
    /// Clipped actions of this step,
    action: single[counts.actions];
    /// and of the one before.
    prev_action: single[counts.actions];
    /// Actions on their way `[delay][actuator]`, a ring.
    queue: single[counts.actions * counts.delay];
    /// Inputs of scripts before the step.
    previous: single[counts.previous];
    /// What scripts remember, one entry function after another.
    memory: single[counts.memory.iter().sum()];
}

impl Layout {
    /// Columns in all.
    pub fn columns(&self) -> usize {
        self.exact + self.single
    }

    /// The column's place where all columns stand in one row, as on a device.
    pub fn flat(&self, column: Column) -> usize {
        if column.exact { column.index } else { self.exact + column.index }
    }

    /// What an entry function remembers.
    pub fn memory_of(&self, entry: Entry) -> Span {
        let before: usize = self.memory_of[..entry as usize].iter().sum();
        let first = Column { index: self.memory.first.index + before, ..self.memory.first };
        Span { first, len: self.memory_of[entry as usize] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_is_given_twice() {
        let counts =
            Counts { commands: 3, actions: 2, delay: 2, previous: 4, memory: [1, 0, 2, 0, 0, 3], nodes: 5, metrics: 1 };
        let layout = Layout::new(&counts);
        let spans = [layout.episode, layout.nodes, layout.metrics, layout.command, layout.queue, layout.previous];
        let memory = Entry::ALL.map(|e| layout.memory_of(e));
        let flat: Vec<usize> = spans.iter().chain(&memory).flat_map(|s| s.columns()).map(|c| layout.flat(c)).collect();
        let mut once = flat.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), flat.len(), "{flat:?}");
        assert_eq!(flat.last(), Some(&(layout.columns() - 1)));
        assert_eq!(memory.iter().map(|s| s.len).sum::<usize>(), layout.memory.len);
    }
}
