//! Stages of deals: by label or id, and never backwards when that is asked for.

use crate::deliver::Failure;
use crate::hubspot::Pipeline;

/// Pipeline and stage by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub pipeline: String,
    pub stage: String,
}

/// Finds a stage by id or label, in the pipeline named so, or in whichever has it.
pub fn find(pipelines: &[Pipeline], pipeline: Option<&str>, stage: &str) -> Result<Place, Failure> {
    let same = |id: &str, label: &str, name: &str| id == name || label.eq_ignore_ascii_case(name.trim());
    let among: Vec<&Pipeline> =
        pipelines.iter().filter(|p| pipeline.is_none_or(|name| same(&p.id, &p.label, name))).collect();
    if among.is_empty() {
        let all: Vec<&str> = pipelines.iter().map(|p| p.label.as_str()).collect();
        let name = pipeline.unwrap_or_default();
        return Err(Failure::dead(format!(
            "params.pipeline: there is no pipeline \"{name}\"; there is {}",
            all.join(", ")
        )));
    }
    for pipeline in &among {
        if let Some(found) = pipeline.stages.iter().find(|s| same(&s.id, &s.label, stage)) {
            return Ok(Place { pipeline: pipeline.id.clone(), stage: found.id.clone() });
        }
    }
    let all: Vec<&str> = among.iter().flat_map(|p| &p.stages).map(|s| s.label.as_str()).collect();
    Err(Failure::dead(format!("params.stage: there is no stage \"{stage}\"; there is {}", all.join(", "))))
}

/// Whether a deal may go from where it is to where it is wanted without going back: a closed one stays, one in another
/// pipeline was moved there by people.
pub fn is_forward(pipelines: &[Pipeline], now: &Place, wanted: &Place) -> bool {
    if now.pipeline != wanted.pipeline {
        return false;
    }
    let Some(pipeline) = pipelines.iter().find(|p| p.id == now.pipeline) else { return true };
    let position = |id: &str| pipeline.stages.iter().position(|s| s.id == id);
    match (position(&now.stage), position(&wanted.stage)) {
        (Some(from), Some(to)) => to >= from && !(pipeline.stages[from].closed && to != from),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hubspot::Stage;

    fn pipelines() -> Vec<Pipeline> {
        let stage = |id: &str, closed| Stage { id: id.into(), label: format!("Stage {id}"), closed };
        vec![Pipeline {
            id: "default".into(),
            label: "Sales".into(),
            stages: vec![
                stage("new", false),
                stage("quoted", false),
                stage("won", true),
                stage("lost", true),
            ],
        }]
    }

    #[test]
    fn deals_go_forward_only() {
        let place = |stage: &str| Place { pipeline: "default".into(), stage: stage.into() };
        let forward = |from: &str, to: &str| is_forward(&pipelines(), &place(from), &place(to));
        assert!(forward("new", "quoted") && forward("quoted", "won") && forward("quoted", "quoted"));
        assert!(!forward("quoted", "new") && !forward("won", "quoted") && !forward("won", "lost"));
        let other = Place { pipeline: "other".into(), stage: "x".into() };
        assert!(!is_forward(&pipelines(), &other, &place("new")));
    }

    #[test]
    fn stages_are_found_by_id_or_label() {
        let found = find(&pipelines(), Some("sales"), "stage WON").unwrap();
        assert_eq!(found, Place { pipeline: "default".into(), stage: "won".into() });
        assert!(find(&pipelines(), None, "gone").unwrap_err().message.contains("Stage new, Stage quoted"));
        assert!(find(&pipelines(), Some("x"), "won").unwrap_err().message.contains("there is Sales"));
    }
}
