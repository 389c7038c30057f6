//! The component's side of the contract: what [`crate::export!`] hands to the bindings. It turns JSON into the plugin's
//! parameters and the plugin's answer into the wire's.

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::plugin::params_schema;
use crate::{Context, Failure, Outcome, Plugin};
use std::marker::PhantomData;

/// A plugin as a component.
pub struct Component<P>(PhantomData<P>);

impl<P: Plugin> wire::Guest for Component<P> {
    fn describe() -> wire::Metadata {
        P::describe().into_metadata(params_schema::<P>().to_string())
    }

    fn run(context: wire::RunContext, params: String) -> Result<wire::Outcome, wire::Failure> {
        run::<P>(&context, &params).map(Into::into).map_err(Into::into)
    }
}

/// Parse the parameters and run the plugin: the part that components and tests have in common.
pub(crate) fn run<P: Plugin>(context: &Context, params: &str) -> Result<Outcome, Failure> {
    let params = serde_json::from_str(params).map_err(|error| Failure::BadParams(error.to_string()))?;
    P::run(context, params)
}
