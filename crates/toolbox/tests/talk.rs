//! The tool's end of a session with the firmware itself: what is read, written and refused, over good lines and bad ones.

mod line;

use line::{Fault, Line, eu, line};
use proptest::prelude::*;
use sockeye_nfc::{Code, Command, HEADER, Request, TAG, Upgrade, UpgradeState};
use sockeye_settings::template::{Secrets, Template, to_json};
use sockeye_settings::{Field, Model, Password, Region};
use sockeye_toolbox::{
    Conduct, Device as Known, Error, Link, LinkError, Talk, Update, Upload, simulated_update,
};

const SWITCH_OFF: Request<'_> = Request::Command(Command::Off);

fn talk(line: &mut Line) -> Talk<&mut Line> {
    Talk::new(line, Some(Password::DEFAULT))
}

fn relay_on(line: &mut Line) -> bool {
    talk(line).status().unwrap().relay_on
}

fn known<L: Link>(talk: &mut Talk<L>) -> Known {
    let status = talk.status().unwrap();
    Known { status, settings: Some(talk.settings().unwrap()) }
}

/// Writes settings as they are typed.
fn set(line: &mut Line, assignments: &[(&str, &str)]) {
    let mut talk = talk(line);
    let known = known(&mut talk);
    let mut wanted = known.settings.clone().unwrap();
    let fields: Vec<_> = assignments
        .iter()
        .map(|(key, value)| sockeye_settings::template::set_text(&mut wanted, Model::Eu, key, value).unwrap())
        .collect();
    let (guard, form) = known.change(&wanted, &fields).unwrap();
    talk.act(&Request::Write { guard, form: &form }).unwrap();
}

fn settings(line: &mut Line) -> sockeye_settings::Settings {
    known(&mut talk(line)).settings.unwrap()
}

/// Writes a template to a device.
fn apply(line: &mut Line, text: &str) -> Result<Vec<Field>, Error> {
    let mut talk = talk(line);
    let (wanted, fields) = known(&mut talk).applied(&Template::parse(text)?)?;
    let (guard, form) = known(&mut talk).change(&wanted, &fields)?;
    talk.act(&Request::Write { guard, form: &form })?;
    Ok(fields)
}

#[test]
fn status_and_settings_are_read_without_a_password() {
    let mut line = eu();
    set(&mut line, &[("led", "off")]);
    let mut talk = Talk::new(&mut line, None);
    let status = talk.status().unwrap();
    assert!((225_000..235_000).contains(&status.voltage_mv), "{status:?}");
    assert!(!talk.settings().unwrap().general.led);
    assert_eq!(talk.act(&SWITCH_OFF), Err(Error::PasswordForm));
}

#[test]
fn five_wrong_passwords_are_followed_by_a_wait_that_is_told() {
    let mut line = eu();
    let mut talk = Talk::new(&mut line, Password::new(b"000000"));
    for _ in 0..4 {
        assert_eq!(talk.act(&SWITCH_OFF), Err(Error::WrongPassword { wait_s: 0 }));
    }
    let fifth = talk.act(&SWITCH_OFF).unwrap_err();
    assert_eq!(fifth.to_string(), "wrong password; nothing was changed, the next try is in 30 s");
    let sixth = talk.act(&SWITCH_OFF);
    assert!(matches!(sixth, Err(Error::Wait { wait_s: 20..=30 })), "{sixth:?}");
    assert!(relay_on(&mut line));
    line.socket.run_ms(60_000);
    assert_eq!(self::talk(&mut line).act(&SWITCH_OFF), Ok(None));
    assert!(!relay_on(&mut line));
}

#[test]
fn an_answer_of_somebody_who_does_not_know_the_password_is_not_believed() {
    let mut line = eu();
    line.faults = vec![Fault::Forged];
    assert_eq!(talk(&mut line).act(&SWITCH_OFF), Err(Error::NotGenuine));
}

#[test]
fn what_was_lost_on_the_way_is_asked_again_and_done_once() {
    use Fault::{AnswerLost, RequestLost};
    for faults in
        [vec![RequestLost], vec![RequestLost, RequestLost], vec![AnswerLost], vec![AnswerLost, RequestLost]]
    {
        let mut line = eu();
        line.faults = faults.clone();
        let result = talk(&mut line).act(&Request::Command(Command::Toggle));
        assert!(result.is_ok(), "{faults:?}: {result:?}");
        // Twice would be on again.
        assert!(!relay_on(&mut line), "{faults:?}");
        let reached = 1 + usize::from(faults.contains(&AnswerLost));
        assert_eq!(line.guarded, reached, "{faults:?}");
    }
    let mut line = eu();
    line.faults = vec![RequestLost; 3];
    assert_eq!(talk(&mut line).act(&SWITCH_OFF), Err(Error::Link(LinkError::Silent)));
}

#[test]
fn a_template_goes_to_a_second_socket() {
    let (mut first, mut second) = (eu(), line(Model::Eu, Region::Eu868, 6));
    set(&mut first, &[("reporting_interval_s", "600"), ("confirmed", "on")]);
    let template = to_json(&settings(&mut first), Model::Eu, Secrets::Omit);
    let address = settings(&mut second).lorawan.dev_addr;
    assert_eq!(apply(&mut second, &template), Ok(vec![Field::Confirmed, Field::ReportingIntervalS]));
    let settings = settings(&mut second);
    assert_eq!((settings.general.reporting_interval_s, settings.lorawan.confirmed), (600, true));
    assert_eq!(settings.lorawan.dev_addr, address, "that is the socket's own");
}

#[test]
fn a_key_in_a_template_is_written_though_nobody_can_tell_whether_it_differs() {
    let text =
        r#"{ "model": "EU", "region": "EU868", "d2d": { "key": "5572404C696E6B4C6F52613230313823" } }"#;
    assert_eq!(apply(&mut eu(), text), Ok(vec![Field::D2dKey]));
}

#[test]
fn a_template_of_another_model_or_band_is_refused_before_anything_is_sent() {
    let template = to_json(&settings(&mut eu()), Model::Eu, Secrets::Omit);
    for (mut line, kind) in [
        (line(Model::Uk, Region::Eu868, 1), "other_model"),
        (line(Model::Eu, Region::As923_1, 2), "other_region"),
    ] {
        let error = apply(&mut line, &template).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(line.guarded, 0);
    }
}

#[test]
fn a_socket_that_changed_its_band_meanwhile_refuses_by_itself() {
    let mut line = eu();
    let before = known(&mut talk(&mut line));
    let mut wanted = before.settings.clone().unwrap();
    wanted.general.led = false;
    let (guard, form) = before.change(&wanted, &[Field::Led]).unwrap();
    set(&mut line, &[("region", "US915")]);
    let error = talk(&mut line).act(&Request::Write { guard, form: &form }).unwrap_err();
    assert_eq!(error, Error::Refused(Code::OtherRegion));
    assert_eq!(error.kind(), "other_region");
}

fn update() -> Update {
    Update::parse(simulated_update([0, 0x20], Conduct::Well)).unwrap()
}

/// Sends an update until it is done, or the way has been walked `steps` times; tells where it began and how it stands.
fn upload(line: &mut Line, update: &Update, steps: usize) -> Result<(Option<u32>, Upgrade), Error> {
    let mut talk = talk(line);
    let status = talk.status()?;
    let (mut upload, mut upgrade, mut first) = (Upload::default(), status.upgrade, None);
    for _ in 0..steps {
        let Some(request) = upload.next(update, &status, &upgrade) else { break };
        upgrade = upload.take(talk.act(&request))?.unwrap();
        first = first.or(Some(upgrade.received));
    }
    Ok((first, upgrade))
}

#[test]
fn an_upgrade_goes_on_where_it_was_interrupted_over_a_line_that_loses() {
    let update = update();
    let mut line = eu();
    let (_, upgrade) = upload(&mut line, &update, 5).unwrap();
    assert_eq!(upgrade.state, UpgradeState::Receiving);
    line.faults = vec![Fault::None, Fault::AnswerLost, Fault::RequestLost, Fault::None, Fault::AnswerLost];
    let (first, end) = upload(&mut line, &update, 1000).unwrap();
    assert!(first.is_some_and(|first| first > 0 && first <= upgrade.received), "{first:?}, {upgrade:?}");
    assert_eq!((end.state, end.refused), (UpgradeState::Ready, 0), "the whole image has its hash");
    line.socket.run_ms(30_000);
    assert_eq!(talk(&mut line).status().unwrap().software_version, [0, 0x20]);
}

/// Takes the supply away until the capacitor is empty, and gives it back.
fn cut_power(line: &mut Line) {
    for act in ["power off", "power on"] {
        line.socket.stimulate(act).unwrap();
        line.socket.run_ms(10_000);
    }
}

#[test]
fn an_upgrade_goes_on_where_the_socket_says_after_power_cuts() {
    let update = update();
    let mut line = eu();
    let status = talk(&mut line).status().unwrap();
    let (mut upload, mut upgrade, mut requests, mut back) = (Upload::default(), status.upgrade, 0, 0);
    while let Some(request) = upload.next(&update, &status, &upgrade) {
        requests += 1;
        assert!(requests < 1000, "{upgrade:?}");
        // Before the second piece, in the middle twice in a row, and before the end.
        let cuts = match (&request, requests) {
            (_, 3) => 1,
            (_, 20) => 2,
            (Request::UpgradeFinish, _) if back == 2 => 1,
            _ => 0,
        };
        for _ in 0..cuts {
            cut_power(&mut line);
        }
        let came = talk(&mut line).act(&request);
        back += usize::from(matches!(&came, Err(Error::Upgrade(said)) if said.refused == 9));
        upgrade = upload.take(came).unwrap().unwrap();
    }
    assert_eq!((upgrade.state, upgrade.refused), (UpgradeState::Ready, 0), "the whole image has its hash");
    assert_eq!(back, 3, "after each start it goes on a page before");
}

#[test]
fn an_upload_that_the_socket_has_forgotten_begins_again() {
    let update = update();
    let mut line = eu();
    let (_, upgrade) = upload(&mut line, &update, 5).unwrap();
    let (mut upload, status) = (Upload::default(), eu_status());
    // The header; then somebody else gives the upgrade up.
    let begin = upload.next(&update, &status, &upgrade).unwrap();
    let upgrade = upload.take(talk(&mut line).act(&begin)).unwrap().unwrap();
    talk(&mut line).act(&Request::UpgradeAbort).unwrap();
    let piece = upload.next(&update, &status, &upgrade).unwrap();
    assert!(matches!(piece, Request::UpgradeChunk { .. }));
    let upgrade = upload.take(talk(&mut line).act(&piece)).unwrap().unwrap();
    let again = upload.next(&update, &status, &upgrade).unwrap();
    assert!(matches!(again, Request::UpgradeBegin { .. }), "{again:?}");
}

#[test]
fn giving_up_an_upgrade_that_there_is_not_says_so() {
    let error = talk(&mut eu()).act(&Request::UpgradeAbort).unwrap_err();
    assert_eq!(error.to_string(), "no upgrade is under way");
}

#[test]
fn a_socket_that_always_wants_another_piece_ends_the_upload() {
    let mut upload = Upload::default();
    let back = |refused, received| {
        let upgrade = Upgrade { state: UpgradeState::Receiving, refused, received, total: 100_000 };
        Err(Error::Upgrade(upgrade))
    };
    // Not that piece; the flash has not taken it; none is under way (docs/UPGRADE.md).
    for (refused, received) in [(9, 2048), (10, 4096), (11, 6144)] {
        let times = (0..100).take_while(|_| upload.take(back(refused, received)).is_ok()).count();
        assert_eq!(times, 8, "{refused}; a socket that has come further begins anew");
    }
    let mut upload = Upload::default();
    for refused in (0..=255).filter(|code| ![9, 10, 11].contains(code)) {
        assert_eq!(upload.take(back(refused, 0)), back(refused, 0));
    }
}

#[test]
fn what_a_socket_refused_is_no_success_because_its_answer_was_lost() {
    let mut bytes = simulated_update([0, 0x20], Conduct::Well);
    *bytes.last_mut().unwrap() ^= 1;
    let spoilt = Update::parse(bytes).unwrap();
    let mut line = eu();
    let (_, upgrade) = upload(&mut line, &spoilt, 2).unwrap();
    // The header and the other pieces.
    let steps = upgrade.total.div_ceil(upgrade.received) as usize;
    assert_eq!(upload(&mut line, &spoilt, steps).unwrap().1.received, upgrade.total);
    // The header once more, and the end.
    line.faults = vec![Fault::None, Fault::AnswerLost];
    let refused = upload(&mut line, &spoilt, 1000).unwrap_err();
    assert_eq!(refused.to_string(), "the image arrived damaged: begin again");
}

#[test]
fn a_file_that_is_no_whole_update_is_not_sent() {
    let whole = simulated_update([0, 2], Conduct::Well);
    for (bytes, sentence) in [
        (Vec::new(), "the file is no update for a socket (NAME.update)"),
        (vec![b'x'; 1000], "the file is no update for a socket (NAME.update)"),
        (
            whole[..whole.len() - 1].to_vec(),
            "the file is not whole: its header tells of 100000 bytes, 99999 are there",
        ),
        (
            [&whole[..], b"\n"].concat(),
            "the file is not whole: its header tells of 100000 bytes, 100001 are there",
        ),
    ] {
        assert_eq!(Update::parse(bytes).unwrap_err().to_string(), sentence);
    }
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), code in 0u8..16, kind in any::<u8>()) {
        let mut client = sockeye_toolbox::Client::default();
        client.set_password(Some(Password::DEFAULT));
        for answer in [bytes.clone(), [&[b'A', 1, code, kind], &bytes[..]].concat()] {
            let _ = client.ask_status();
            let _ = client.take_status(&answer);
            let _ = client.see_status(&answer);
            let _ = client.take_settings(&answer);
            let _ = client.take(&answer);
        }
    }

    /// A device that takes so many bytes at once, and whole words of 8 of each piece but the last, gets all of them.
    #[test]
    fn every_piece_fits_and_all_arrive(max_request in 48u16..2100) {
        let (update, whole) = known_update();
        let status = sockeye_nfc::Status { max_request, ..eu_status() };
        let total = update.header().image().len;
        let (mut upload, mut now) = (Upload::default(), Upgrade::default());
        let mut arrived: Vec<u8> = Vec::new();
        loop {
            match upload.next(update, &status, &now) {
                Some(Request::UpgradeBegin { .. }) => {
                    now = Upgrade { state: UpgradeState::Receiving, refused: 0, received: 0, total };
                }
                Some(Request::UpgradeChunk { offset, data }) => {
                    prop_assert_eq!(offset, now.received);
                    prop_assert!(!data.is_empty() && data.len() + HEADER + 4 + TAG <= usize::from(max_request));
                    let is_last = arrived.len() + data.len() == total as usize;
                    let taken = if is_last { data.len() } else { data.len() / 8 * 8 };
                    prop_assert!(taken > 0, "nothing of it is taken");
                    arrived.extend(&data[..taken]);
                    now.received = u32::try_from(arrived.len()).unwrap();
                }
                Some(Request::UpgradeFinish) => break,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(arrived == whole[sockeye_upgrade::HEADER_LEN..]);
    }
}

/// The status of a socket that was read once.
fn eu_status() -> sockeye_nfc::Status {
    static STATUS: std::sync::OnceLock<sockeye_nfc::Status> = std::sync::OnceLock::new();
    *STATUS.get_or_init(|| talk(&mut eu()).status().unwrap())
}

/// An update, and its bytes.
fn known_update() -> &'static (Update, Vec<u8>) {
    static UPDATE: std::sync::OnceLock<(Update, Vec<u8>)> = std::sync::OnceLock::new();
    UPDATE.get_or_init(|| (update(), simulated_update([0, 0x20], Conduct::Well)))
}
