//! The tool's end of a session: what is read, written and refused, over good lines and bad ones.

use proptest::prelude::*;
use sockeye_nfc::{Code, Command, Request, UpgradeState};
use sockeye_settings::template::{Secrets, Template, to_json};
use sockeye_settings::{Field, Model, Password, Region};
use sockeye_toolbox::stand_in::{Device, Line};
use sockeye_toolbox::{Device as Known, Error, LinkError, Talk, Update, Upload};
use sockeye_upgrade::{BoardName, Header, Image, sign};

const SWITCH_OFF: Request<'_> = Request::Command(Command::Off);

fn eu() -> Device {
    Device::new(Model::Eu, Region::Eu868, 5)
}

fn talk(device: &mut Device) -> Talk<&mut Device> {
    Talk::new(device, Some(Password::DEFAULT))
}

fn known<L: sockeye_toolbox::Link>(talk: &mut Talk<L>) -> Known {
    let status = talk.status().unwrap();
    Known { status, settings: Some(talk.settings().unwrap()) }
}

/// Writes a template to a device.
fn apply(device: &mut Device, text: &str) -> Result<Vec<Field>, Error> {
    let mut talk = talk(device);
    let (wanted, fields) = known(&mut talk).applied(&Template::parse(text)?)?;
    let (guard, form) = known(&mut talk).change(&wanted, &fields)?;
    talk.act(&Request::Write { guard, form: &form })?;
    Ok(fields)
}

#[test]
fn status_and_settings_are_read_without_a_password() {
    let mut device = eu();
    device.settings.general.led = false;
    let expected = device.settings.clone();
    let mut talk = Talk::new(&mut device, None);
    assert_eq!(talk.status().unwrap().voltage_mv, 230_100);
    assert_eq!(talk.settings().unwrap(), expected);
    assert_eq!(talk.act(&SWITCH_OFF), Err(Error::PasswordForm));
}

#[test]
fn five_wrong_passwords_are_followed_by_a_wait_that_is_told() {
    let mut device = eu();
    let mut talk = Talk::new(&mut device, Password::new(b"000000"));
    for _ in 0..4 {
        assert_eq!(talk.act(&SWITCH_OFF), Err(Error::WrongPassword { wait_s: 0 }));
    }
    let fifth = talk.act(&SWITCH_OFF).unwrap_err();
    assert_eq!(fifth.to_string(), "wrong password; nothing was changed, the next try is in 30 s");
    assert_eq!(talk.act(&SWITCH_OFF), Err(Error::Wait { wait_s: 30 }));
    device.now_ms = 30_000;
    assert!(device.relay_on);
    assert_eq!(self::talk(&mut device).act(&SWITCH_OFF), Ok(None));
    assert!(!device.relay_on);
}

#[test]
fn an_answer_of_somebody_who_does_not_know_the_password_is_not_believed() {
    let mut device = eu();
    device.forged = true;
    assert_eq!(talk(&mut device).act(&SWITCH_OFF), Err(Error::NotGenuine));
}

#[test]
fn what_was_lost_on_the_way_is_asked_again_and_done_once() {
    use Line::{AnswerLost, RequestLost};
    for line in
        [vec![RequestLost], vec![RequestLost, RequestLost], vec![AnswerLost], vec![AnswerLost, RequestLost]]
    {
        let mut device = eu();
        device.line = line.clone();
        let result = talk(&mut device).act(&Request::Command(Command::Toggle));
        assert!(result.is_ok(), "{line:?}: {result:?}");
        assert_eq!(device.obeyed.len(), 1, "{line:?}");
        assert!(!device.relay_on, "{line:?}");
    }
    let mut device = eu();
    device.line = vec![RequestLost; 3];
    assert_eq!(talk(&mut device).act(&SWITCH_OFF), Err(Error::Link(LinkError::Silent)));
}

#[test]
fn a_template_goes_to_a_second_socket() {
    let (mut first, mut second) = (eu(), Device::new(Model::Eu, Region::Eu868, 6));
    first.settings.general.reporting_interval_s = 600;
    first.settings.lorawan.confirmed = true;
    let template = to_json(&talk_settings(&mut first), Model::Eu, Secrets::Omit);
    let address = second.settings.lorawan.dev_addr;
    assert_eq!(apply(&mut second, &template), Ok(vec![Field::Confirmed, Field::ReportingIntervalS]));
    assert_eq!(second.settings.general.reporting_interval_s, 600);
    assert_eq!(second.settings.lorawan.dev_addr, address, "that is the socket's own");
}

fn talk_settings(device: &mut Device) -> sockeye_settings::Settings {
    known(&mut talk(device)).settings.unwrap()
}

#[test]
fn a_key_in_a_template_is_written_though_nobody_can_tell_whether_it_differs() {
    let mut device = eu();
    let text =
        r#"{ "model": "EU", "region": "EU868", "d2d": { "key": "5572404C696E6B4C6F52613230313823" } }"#;
    assert_eq!(apply(&mut device, text), Ok(vec![Field::D2dKey]));
}

#[test]
fn a_template_of_another_model_or_band_is_refused_before_anything_is_sent() {
    let template = to_json(&eu().settings, Model::Eu, Secrets::Omit);
    for (mut device, kind) in [
        (Device::new(Model::Uk, Region::Eu868, 1), "other_model"),
        (Device::new(Model::Eu, Region::As923_1, 2), "other_region"),
    ] {
        let error = apply(&mut device, &template).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(device.obeyed.is_empty());
    }
}

#[test]
fn a_socket_that_changed_its_band_meanwhile_refuses_by_itself() {
    let mut device = eu();
    let mut talk = talk(&mut device);
    let before = known(&mut talk);
    let mut wanted = before.settings.clone().unwrap();
    wanted.general.led = false;
    let (guard, form) = before.change(&wanted, &[Field::Led]).unwrap();
    drop(talk);
    device.settings.change_region(Region::Us915);
    let error = self::talk(&mut device).act(&Request::Write { guard, form: &form }).unwrap_err();
    assert_eq!(error, Error::Refused(Code::OtherRegion));
    assert_eq!(error.kind(), "other_region");
}

/// Makes a signed update of so many bytes.
fn update(board: &str, len: u32) -> Vec<u8> {
    let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    let image = Image {
        board: BoardName::new(board).unwrap(),
        hardware_min: [1, 0],
        hardware_max: [2, 0],
        version: [0, 2],
        len,
        sha512: [0; 64],
    };
    let header = Header::new(&image, sign(&[7; 32], &image.signed_part()));
    [&header.to_bytes()[..], &bytes].concat()
}

/// Sends an update until it is done, or the way has been walked `steps` times.
fn upload(device: &mut Device, update: &Update, steps: usize) -> Result<bool, Error> {
    let mut talk = talk(device);
    let status = talk.status()?;
    let (mut upload, mut upgrade) = (Upload::default(), status.upgrade);
    for _ in 0..steps {
        let Some(request) = upload.next(update, &status, &upgrade) else { return Ok(true) };
        upgrade = talk.act(&request)?.unwrap();
    }
    Ok(false)
}

#[test]
fn an_upgrade_goes_on_where_it_was_interrupted() {
    let update = Update::parse(update("test", 10_000)).unwrap();
    let mut device = eu();
    assert_eq!(upload(&mut device, &update, 5), Ok(false));
    assert_eq!(device.image.len(), 4 * 512);
    device.line = vec![Line::Good, Line::AnswerLost, Line::RequestLost];
    assert_eq!(upload(&mut device, &update, 100), Ok(true));
    assert_eq!(device.upgrade.state, UpgradeState::Ready);
    assert!(device.image.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
}

#[test]
fn an_upgrade_for_another_board_is_refused_with_the_reason() {
    let update = Update::parse(update("toaster", 100)).unwrap();
    let error = upload(&mut eu(), &update, 100).unwrap_err();
    assert_eq!(error.to_string(), "the image is for another board");
}

#[test]
fn a_file_that_is_no_whole_update_is_not_sent() {
    let whole = update("test", 100);
    for (bytes, sentence) in [
        (Vec::new(), "the file is no update for a socket (.signed.bin)"),
        (vec![b'x'; 1000], "the file is no update for a socket (.signed.bin)"),
        (whole[..259].to_vec(), "the file is not whole: its header tells of 100 bytes, 99 are there"),
        ([&whole[..], b"\n"].concat(), "the file is not whole: its header tells of 100 bytes, 101 are there"),
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

    #[test]
    fn every_piece_fits_and_all_arrive(len in 1u32..5000, max_request in 40u16..2000) {
        let bytes = update("test", len);
        let update = Update::parse(bytes.clone()).unwrap();
        let mut device = eu();
        device.max_request = max_request;
        prop_assert_eq!(upload(&mut device, &update, 10_000), Ok(true));
        prop_assert_eq!(&device.image[..], &bytes[sockeye_upgrade::HEADER_LEN..]);
    }
}
