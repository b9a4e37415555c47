//! The words of the command line. Nothing here is looked up: what the words mean is for the commands to resolve.

use std::{
    env,
    error::Error as _,
    ffi::{OsStr, OsString},
    net::SocketAddr,
    num::NonZeroU64,
    path::PathBuf,
    time::Duration,
};

use clap::{
    ArgAction, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
    value_parser,
};

use crate::{
    code::{Code, Link, RelaySpec},
    error::{Error, Kind},
    event::Event,
    net::CongestionControl,
    ui::{Options, Style, Ui},
};

const EXAMPLES: &str = "\
Examples:
  qshare send holiday/               share a folder; prints a code such as XKY9-7HQ2ME
  qshare recv XKY9-7HQ2ME            download it on the other machine
  qshare relay                       run a relay, for the Internet
  qshare send --relay HOST a.zip     share through it

Exit codes:
  0    done
  1    the transfer failed for another reason than those below
  2    wrong arguments, a path that cannot be read, a code with a typo
  3    the relay knows no such code, or its sender is gone
  4    the code is wrong, or something between the two ends tampered
  5    the relay cannot be reached, or the line died
  6    no space, no permission, or the target stands already
  7    the relay, the sender or the other user refused
  8    the content did not match its hash
  130  interrupted while a download was running";

const RELAY_EXAMPLES: &str = "\
Examples:
  qshare relay                            listen on UDP port 4433, both IP versions
  qshare relay --listen 192.0.2.7:443     on one address, another port";

const SEND_EXAMPLES: &str = "\
Examples:
  qshare send holiday/                    until Ctrl-C, to any number of receivers
  qshare send --once a.pdf b.pdf          two files, one receiver
  qshare send --expire 2h --qr talk.mp4   for two hours, with a QR code";

const SHARES_EXAMPLES: &str = "\
Examples:
  qshare shares                           codes, paths, and until when they are kept
  qshare shares forget holiday/           the next one of this folder gets a new code
  qshare shares forget --all              all that are not being shared now";

const PARTS_EXAMPLES: &str = "\
A download that breaks leaves a folder .qshare-….part beside its target: the same recv command goes on with it.

Examples:
  qshare parts                            what is left in the current folder
  qshare parts --clear ~/in               remove it";

const RECV_EXAMPLES: &str = "\
Examples:
  qshare recv XKY9-7HQ2ME                 into the current folder, after a question
  qshare recv --list XKY9-7HQ2ME          only show what is offered
  qshare recv --yes --out ~/in \"qshare://relay.example/XKY9-7HQ2ME\"
  QSHARE_CODE=XKY9-7HQ2ME qshare recv     keep the code out of the list of processes

What a broken download has left lies in .qshare-….part beside its target: the same command goes on with it, also when
this machine, the sender's or the relay was started again meanwhile (see qshare parts --help).";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "qshare",
    bin_name = "qshare",
    version,
    about = "Send files to anyone with a short code, end-to-end encrypted, to many receivers at once",
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub struct Args {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; none asks at a terminal.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What holds for every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// Print events as JSON, one object a line, and never ask
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results and errors
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Tell more about what happens; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print without colors
    #[arg(long, global = true, env = "NO_COLOR", hide_env_values = true, value_parser = no_color)]
    pub no_color: bool,
}

impl Global {
    /// The sink that these options ask for; `qr` is up to the command.
    pub fn ui(&self, qr: bool) -> Ui {
        let style = if self.json { Style::Json } else { Style::Human };
        Ui::new(Options { style, quiet: self.quiet, color: !self.no_color, qr })
    }
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Share files and folders, print the code, serve receivers until Ctrl-C
    Send(SendArgs),
    /// Download what a code or a link stands for
    #[command(alias = "receive")]
    Recv(RecvArgs),
    /// Run a relay; it sees neither names nor content
    Relay(RelayArgs),
    /// List the shares that are kept for their sender to come back, or forget them
    Shares(SharesArgs),
    /// List what broken downloads have left in a folder, or remove it
    Parts(PartsArgs),
}

/// `qshare send`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = SEND_EXAMPLES)]
pub struct SendArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The relay to share through [default: one of its own, for the local network]
    #[arg(long, value_name = "HOST[:PORT][#PIN]", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelaySpec>,
    /// End after one download
    #[arg(long)]
    pub once: bool,
    /// End after that many downloads
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), conflicts_with = "once")]
    pub max_downloads: Option<u64>,
    /// End after that time, such as 90s, 2h or 1day; running downloads may finish
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expire: Option<Duration>,
    /// Keep the code for that long, such as 2h or 1week, after an end that was not on purpose: the same path gets it back
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub keep: Duration,
    /// Take a new code, even where the path has one
    #[arg(long)]
    pub new_code: bool,
    /// Secret characters of the code [default: 5; 8 with --expire or --keep above a day]
    #[arg(long, value_name = "N", value_parser = code_length())]
    pub code_length: Option<usize>,
    /// The name that receivers see [default: from the first path]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Show the link as a QR code too
    #[arg(long)]
    pub qr: bool,
    /// Send at most that much a second, to all receivers together, such as 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = LINE)]
    pub limit_up: Option<NonZeroU64>,
    /// Who decides how fast to send
    #[command(flatten)]
    pub line: LineArgs,
}

const LINE: &str = "Line";

/// What may be chosen for a line.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = LINE)]
pub struct LineArgs {
    /// The congestion control: auto does not mind packets that the line loses by itself
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = congestion())]
    pub congestion: CongestionControl,
}

/// `qshare recv`. It holds the code, so it has no Debug form.
#[derive(Clone, clap::Args)]
#[command(after_help = RECV_EXAMPLES)]
pub struct RecvArgs {
    /// What the sender shows; without it, it is asked for
    #[arg(value_name = "CODE|LINK", env = "QSHARE_CODE", hide_env_values = true)]
    pub code: Option<String>,
    /// The relay where the code is good; a link names its own
    #[arg(long, value_name = "HOST[:PORT][#PIN]", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelaySpec>,
    /// Where to save: a folder, or a file name [default: the current folder]
    #[arg(long, value_name = "DIR|FILE")]
    pub out: Option<PathBuf>,
    /// Download without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Replace what stands in the way [default: refuse]
    #[arg(long, conflicts_with_all = ["rename", "skip"])]
    pub overwrite: bool,
    /// Save under another name where something stands in the way
    #[arg(long, conflicts_with = "skip")]
    pub rename: bool,
    /// Leave out what stands there already
    #[arg(long)]
    pub skip: bool,
    /// Show everything that is offered, download nothing
    #[arg(long)]
    pub list: bool,
    /// Once a download has begun, wait that long for a dead line or a sender that is away, such as 90s or 1h; 0 fails at once
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration_or_zero, help_heading = LINE)]
    pub retry_for: Duration,
    /// Take at most that much a second, such as 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = LINE)]
    pub limit_down: Option<NonZeroU64>,
    /// Who decides how fast to send
    #[command(flatten)]
    pub line: LineArgs,
}

/// `qshare relay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = RELAY_EXAMPLES)]
pub struct RelayArgs {
    /// The UDP address to listen on
    #[arg(long, value_name = "ADDR", default_value = "[::]:4433")]
    pub listen: SocketAddr,
    /// The folder that holds the certificate and its key [default: made and kept by itself]
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// Who decides how fast to send
    #[command(flatten)]
    pub line: LineArgs,
}

/// `qshare shares`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = SHARES_EXAMPLES)]
pub struct SharesArgs {
    /// What to do; nothing lists them.
    #[command(subcommand)]
    pub command: Option<SharesCommand>,
}

/// What to do with the shares that are kept.
#[derive(Debug, Clone, Subcommand)]
pub enum SharesCommand {
    /// Forget shares: the next one of the same path gets a new code
    Forget {
        /// Their codes, paths or ids; the first characters of an id will do
        #[arg(required_unless_present = "all", value_name = "CODE|PATH|ID")]
        which: Vec<String>,
        /// All that are not being shared now
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
}

/// `qshare parts`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = PARTS_EXAMPLES)]
pub struct PartsArgs {
    /// The folder that was downloaded to [default: the current folder]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Remove what is there, except what a download is writing now
    #[arg(long)]
    pub clear: bool,
}

/// Reads this process's command line. Where there is nothing to run, it has been shown why, and the exit code is the
/// error: 0 for `--help` and `--version`.
///
/// # Errors
/// The exit code.
pub fn parse() -> Result<Args, u8> {
    parse_from(env::args_os())
}

/// [`parse`] for other words; the first is the program's name.
///
/// # Errors
/// The exit code.
pub fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Args, u8> {
    let words: Vec<OsString> = words.into_iter().collect();
    let json = has_flag(&words, "--json");
    let colorless = has_flag(&words, "--no-color");
    try_parse(&words).map_err(|e| {
        if e.exit_code() == 0 {
            let _ = e.print(); // a closed pipe ends quietly
            return 0;
        }
        match translate(&e) {
            Some(ours) => show(&ours, json, colorless),
            None if json => show(&plain(&e), json, colorless),
            None => drop(e.print()),
        }
        Kind::Usage.exit_code()
    })
}

fn try_parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let color = if has_flag(words, "--no-color") { ColorChoice::Never } else { ColorChoice::Auto };
    let mut matches = without_empty(Args::command()).color(color).try_get_matches_from(words)?;
    Args::from_arg_matches_mut(&mut matches)
}

/// Variables of the environment that are set to nothing count as not set.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    command.mut_subcommands(|command| {
        command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
    })
}

fn show(error: &Error, json: bool, colorless: bool) {
    let global = Global { json, quiet: false, verbose: 0, no_color: colorless || env::var_os("NO_COLOR").is_some() };
    let _ = global.ui(false).show(&Event::from(error)); // nobody is left to tell
}

/// Whether an option stands among the words, for when they cannot be parsed.
fn has_flag(words: &[OsString], flag: &str) -> bool {
    words.iter().skip(1).take_while(|word| *word != OsStr::new("--")).any(|word| word == OsStr::new(flag))
}

/// Errors that are better said in our own words: those with a hint, and those that would repeat a code.
fn translate(e: &clap::Error) -> Option<Error> {
    let context = |kind| match e.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(ours) = e.source().and_then(|source| source.downcast_ref::<Error>()) {
        let option = context(ContextKind::InvalidArg).and_then(|arg| arg.split(' ').next()).unwrap_or("argument");
        let error = Error::new(ours.kind(), format!("{option}: {}", ours.message()));
        return Some(ours.hint_text().map_or(error.clone(), |hint| error.hint(hint)));
    }
    match e.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand)?;
            if Code::parse(word).is_ok() || Link::has_scheme(word) {
                return Some(Error::new(Kind::Usage, "a code comes after recv").hint("qshare recv CODE"));
            }
            let known = std::path::Path::new(word).exists();
            known.then(|| Error::new(Kind::Usage, "a path comes after send").hint("qshare send PATH"))
        }
        ErrorKind::UnknownArgument if !context(ContextKind::InvalidArg)?.starts_with('-') => {
            let hint = "a code with blanks or a link needs quotes; qshare --help shows what each command takes";
            Some(Error::new(Kind::Usage, "there is an argument too many").hint(hint))
        }
        _ => None,
    }
}

/// The first paragraph of clap's prose.
fn plain(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let message = first.join(" ");
    Error::new(Kind::Usage, message.strip_prefix("error: ").unwrap_or(&message)).hint("see qshare --help")
}

/// `NO_COLOR` with any value but the empty one (<https://no-color.org>); the option itself comes as `true`.
fn no_color(value: &str) -> Result<bool, Error> {
    Ok(!value.is_empty())
}

fn duration(text: &str) -> Result<Duration, Error> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err(bad_time("the time must be longer than nothing".to_owned())),
        duration => Ok(duration),
    }
}

fn duration_or_zero(text: &str) -> Result<Duration, Error> {
    humantime::parse_duration(text).map_err(|e| bad_time(format!("not a time: {e}")))
}

fn bad_time(what: String) -> Error {
    Error::new(Kind::Usage, what).hint("write it as 90s, 30min, 2h or 1day")
}

/// Bytes a second, in any unit.
fn rate(text: &str) -> Result<NonZeroU64, Error> {
    let bytes = text.parse::<bytesize::ByteSize>().map_err(|e| e.to_string());
    bytes
        .and_then(|bytes| NonZeroU64::new(bytes.as_u64()).ok_or_else(|| "nothing would ever pass".to_owned()))
        .map_err(|e| Error::new(Kind::Usage, format!("not an amount: {e}")).hint("write it as 500kB, 2MB or 1.5MiB"))
}

fn congestion() -> impl TypedValueParser<Value = CongestionControl> {
    PossibleValuesParser::new(["auto", "cubic", "bbr"]).map(|name| match name.as_str() {
        "cubic" => CongestionControl::Cubic,
        "bbr" => CongestionControl::Bbr,
        _ => CongestionControl::Auto,
    })
}

fn code_length() -> impl TypedValueParser<Value = usize> {
    PossibleValuesParser::new(["5", "8", "12", "16", "20"]).try_map(|text| text.parse::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn good(line: &str) -> Args {
        try_parse(&words(line)).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn bad(line: &str) -> clap::Error {
        try_parse(&words(line)).err().unwrap_or_else(|| panic!("{line} passes"))
    }

    fn send(line: &str) -> SendArgs {
        match good(line).command {
            Some(Command::Send(args)) => args,
            _ => panic!("{line} is not send"),
        }
    }

    fn recv(line: &str) -> RecvArgs {
        match good(line).command {
            Some(Command::Recv(args)) => args,
            _ => panic!("{line} is not recv"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_menu() {
        assert!(good("qshare").command.is_none());
    }

    #[test]
    fn relay_has_a_default_address() {
        let Some(Command::Relay(args)) = good("qshare relay").command else { panic!("not relay") };
        assert_eq!((args.listen, args.certs), ("[::]:4433".parse().unwrap(), None));
        let Some(Command::Relay(args)) = good("qshare relay --listen 127.0.0.1:0 --certs c").command else {
            panic!("not relay")
        };
        assert_eq!((args.listen.port(), args.certs), (0, Some("c".into())));
    }

    #[test]
    fn send_takes_what_it_promises() {
        let args = send("qshare send a b - --relay relay.example --expire 2h --code-length 12 --name n --qr");
        assert_eq!(args.paths, ["a", "b", "-"].map(PathBuf::from));
        assert_eq!(args.relay.unwrap().addr.port, 4433);
        assert_eq!(args.expire, Some(Duration::from_secs(7_200)));
        assert_eq!((args.code_length, args.name.as_deref(), args.qr), (Some(12), Some("n"), true));
        assert_eq!(send("qshare send --max-downloads 3 a").max_downloads, Some(3));
        assert_eq!(send("qshare send --once -- --odd").paths, [PathBuf::from("--odd")]);
        for line in [
            "qshare send",
            "qshare send --once --max-downloads 2 a",
            "qshare send --max-downloads 0 a",
            "qshare send --code-length 6 a",
            "qshare send --expire 0s a",
            "qshare send --expire soon a",
            "qshare send --keep a",
        ] {
            assert_eq!(bad(line).exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn recv_takes_what_it_promises() {
        let args = recv("qshare receive XKY9-7HQ2ME -y --out d --rename --list");
        assert_eq!(args.code.as_deref(), Some("XKY9-7HQ2ME"));
        assert!(args.yes && args.rename && args.list && !args.overwrite && !args.skip);
        assert_eq!(args.out, Some("d".into()));
        assert_eq!(recv("qshare recv c --out -").out, Some("-".into()));
        for two in ["--overwrite --rename", "--overwrite --skip", "--rename --skip"] {
            assert_eq!(bad(&format!("qshare recv c {two}")).kind(), ErrorKind::ArgumentConflict);
        }
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in ["qshare --json --quiet -vv --no-color recv c", "qshare recv c --json --quiet -v -v --no-color"] {
            let Global { json, quiet, verbose, no_color } = good(line).global;
            assert!(json && quiet && no_color && verbose == 2, "{line}");
        }
        assert!(!good("qshare recv c").global.json);
        assert_eq!((no_color(""), no_color("0")), (Ok(false), Ok(true)));
    }

    #[test]
    fn our_own_messages_come_with_their_hints() {
        let error = translate(&bad("qshare send --relay a:b x")).unwrap();
        assert_eq!(error.message(), "--relay: “a:b” is not the address of a relay");
        assert_eq!(error.hint_text(), Some("write HOST, HOST:PORT or [IPV6]:PORT"));
        let error = translate(&bad("qshare send --expire soon x")).unwrap();
        assert!(error.message().starts_with("--expire: not a time"), "{error}");
    }

    #[test]
    fn a_misplaced_code_is_not_repeated() {
        for line in ["qshare XKY9-7HQ2ME", "qshare qshare://h/XKY9-7HQ2ME", "qshare recv XKY9 7HQ2ME"] {
            let error = translate(&bad(line)).unwrap();
            assert!(!error.message().contains("7HQ2M"), "{error}");
        }
        assert_eq!(translate(&bad("qshare Cargo.toml")).unwrap().hint_text(), Some("qshare send PATH"));
    }

    #[test]
    fn other_errors_become_one_sentence() {
        let error = plain(&bad("qshare recv c --frob"));
        assert_eq!(error.message(), "unexpected argument '--frob' found");
        let error = plain(&bad("qshare send"));
        assert_eq!(error.message(), "the following required arguments were not provided: <PATH>...");
    }

    #[test]
    fn help_and_version_end_with_0_and_mistakes_with_2() {
        assert_eq!(bad("qshare --help").exit_code(), 0);
        assert_eq!(bad("qshare --version").exit_code(), 0);
        assert_eq!(bad("qshare frob").exit_code(), 2);
    }

    #[test]
    fn flags_are_found_where_parsing_failed() {
        assert!(has_flag(&words("qshare frob --json"), "--json"));
        assert!(!has_flag(&words("qshare send -- --json"), "--json"));
    }

    #[test]
    fn the_help_names_exit_codes_and_hides_secrets() {
        let help = Args::command().render_long_help().to_string();
        for part in ["Examples:", "Exit codes:", "130  interrupted", "--no-color", "--version"] {
            assert!(help.contains(part), "{part} is missing:\n{help}");
        }
        for name in ["QSHARE_CODE", "QSHARE_RELAY"] {
            let hidden = Args::command()
                .get_subcommands()
                .flat_map(|c| c.get_arguments().cloned())
                .all(|arg| arg.get_env().is_none_or(|env| env != name) || arg.is_hide_env_values_set());
            assert!(hidden, "{name}");
        }
    }
}
