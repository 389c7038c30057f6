//! The component's side of the contract: what [`crate::export!`] hands to the bindings. It turns JSON into the check's
//! parameters and the check's answer into the wire's.

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::check::params_schema;
use crate::{Check, Context, Failure, Outcome};
use std::marker::PhantomData;

/// A check as a component.
pub struct Component<C>(PhantomData<C>);

impl<C: Check> wire::Guest for Component<C> {
    fn describe() -> wire::Metadata {
        C::describe().into_metadata(params_schema::<C>().to_string())
    }

    fn run(context: wire::RunContext, params: String) -> Result<wire::Outcome, wire::Failure> {
        run::<C>(&context, &params).map(Into::into).map_err(Into::into)
    }
}

/// Parse the parameters and run the check: the part that components and tests have in common.
pub(crate) fn run<C: Check>(context: &Context, params: &str) -> Result<Outcome, Failure> {
    let params = serde_json::from_str(params).map_err(|error| Failure::BadParams(error.to_string()))?;
    C::run(context, params)
}
