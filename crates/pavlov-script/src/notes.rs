//! What the lowering has to say that is no error: it knows the types of values and where they come from.

use crate::diag::place;
use crate::lint::{Lint, whole_division};
use crate::lower::{Lowerer, Note};
use crate::path::V;
use crate::value::{Kind, Value};
use rhai::{Position, ScriptFuncDef};

impl Lowerer<'_> {
    /// Says something about a place, once.
    pub fn note(&mut self, lint: Lint) {
        let same = |n: &Note| n.module == self.module && n.lint.at == lint.at && n.lint.rule == lint.rule;
        if !self.notes.iter().any(same) {
            self.notes.push(Note { module: self.module, term: self.term.clone(), lint });
        }
    }

    /// Is there nothing to say about the division of whole numbers at this place?
    pub fn is_settled(&self, at: (usize, usize)) -> bool {
        self.settled[self.module].contains(&at)
    }

    /// The divisor, where it is known. A division that loses a fraction is spoken of.
    pub fn whole_divisor(&mut self, name: &str, x: u32, y: u32, pos: Position) -> Option<f64> {
        let (x, y) = (self.g.constant(x), self.g.constant(y));
        let exact = matches!((x, y), (Some(x), Some(y)) if y == 0.0 || x % y == 0.0);
        if name == "/" && !exact && !self.is_settled(place(pos)) {
            self.note(whole_division(place(pos), None));
        }
        y
    }

    /// Speaks of `==` and `!=` where a number that varies without steps is compared.
    pub fn compared(&mut self, name: &str, x: u32, y: u32, pos: Position) {
        if !self.g.is_continuous(x) && !self.g.is_continuous(y) {
            return;
        }
        let never = if name == "==" { "never true" } else { "always true" };
        self.note(Lint {
            at: place(pos),
            rule: "float-equal",
            message: format!("`{name}` between numbers that are measured: it is practically {never}"),
            hint: "write `abs(a - b) < 0.001`, or a threshold: `a > b`".into(),
        });
    }

    /// A function of the script whose `s` is no state, or whose `p` is no map, reads as what it is not.
    pub fn usual_names(&mut self, def: &ScriptFuncDef, args: &[V]) {
        if self.module > 0 || def.name.starts_with("anon$") {
            return;
        }
        for (name, value) in def.params.iter().zip(args) {
            let (usual, is) = match (name.as_str(), value) {
                ("s", Value::Handle(h)) if h.kind == Kind::State => continue,
                ("p", Value::Map(_)) => continue,
                ("s", _) => ("s", "the state"),
                ("p", _) => ("p", "the parameters of the reward"),
                _ => continue,
            };
            let message = format!(
                "parameter `{usual}` of `{}` is a {}: everywhere else `{usual}` is {is}",
                def.name,
                value.type_name()
            );
            let hint = "give it another name".into();
            self.note(Lint { at: place(def.body.position()), rule: "shadow", message, hint });
        }
    }
}
