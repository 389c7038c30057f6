//! How a function of the host becomes a function of this crate: on wasm32 it calls the binding, elsewhere it asks the
//! test harness, and either way errors become [`crate::Error`].

/// Define `pub fn name(arguments) -> Result<Answer, Error>` and, for tests, the constant that names the function there.
macro_rules! host_function {
    (
        @$ask:ident
        $(#[$doc:meta])*
        $operation:literal as $key:ident,
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $answer:ty = $guest:expr
    ) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) -> Result<$answer, $crate::Error> {
            #[cfg(target_arch = "wasm32")]
            {
                $guest.map(Into::into).map_err(Into::into)
            }
            #[cfg(not(target_arch = "wasm32"))]
            {
                let mut arguments = Vec::new();
                $($crate::testing::Argument::write($argument, &mut arguments);)*
                $crate::testing::$ask(&$key, arguments)
            }
        }

        #[doc = concat!("`", $operation, "` in a table of answers.")]
        #[cfg(not(target_arch = "wasm32"))]
        pub const $key: $crate::testing::Function<$answer> = $crate::testing::Function::new($operation);
    };
    ($($function:tt)*) => { host_function!(@ask $($function)*); };
}

/// The same for a function of whose answer the harness leaves out what was not asked for.
macro_rules! selecting_function {
    (
        $(#[$doc:meta])*
        $operation:literal as $key:ident by $select:path,
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $answer:ty = $guest:expr
    ) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) -> Result<$answer, $crate::Error> {
            #[cfg(target_arch = "wasm32")]
            {
                $guest.map(Into::into).map_err(Into::into)
            }
            #[cfg(not(target_arch = "wasm32"))]
            {
                $select(&$key, $($argument),*)
            }
        }

        #[doc = concat!("`", $operation, "` in a table of answers.")]
        #[cfg(not(target_arch = "wasm32"))]
        pub const $key: $crate::testing::Function<$answer> = $crate::testing::Function::new($operation);
    };
}

/// The same for a function that changes something, which the harness answers as the mode of the run has it.
macro_rules! changing_function {
    ($($function:tt)*) => { host_function!(@ask_change $($function)*); };
}
