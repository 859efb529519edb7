//! The mesh's stream: in order, kept, and no byte of it changed unnoticed.

use remit_core::audit::Decision;

use super::*;

struct Store {
    dir: tempfile::TempDir,
}

impl Store {
    fn open(&self) -> (Disk, Rc<Audit>) {
        let disk = Disk::open(&self.dir.path().join("journal"), 4 << 20).unwrap();
        (disk.clone(), Audit::new(disk, Box::new(|| 7)))
    }
}

fn store() -> Store {
    Store { dir: tempfile::tempdir().unwrap() }
}

async fn fill(audit: &Audit, count: usize) {
    for at in 0..count {
        audit.record("t", Record::new(format!("who {at}"), Decision::Joined)).await.unwrap();
    }
}

#[tokio::test]
async fn records_are_numbered_chained_and_kept() {
    let store = store();
    let (disk, audit) = store.open();
    fill(&audit, 3).await;
    audit.record("other", Record::new("them", Decision::Denied)).await.unwrap();
    drop((disk, audit));
    let (_disk, audit) = store.open();
    fill(&audit, 1).await;
    let all = audit.read("t", 0, 10).unwrap();
    assert_eq!(all.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(audit.read("t", 2, 1).unwrap(), [all[2].clone()]);
    assert_eq!(audit.read("other", 0, 10).unwrap().len(), 1, "each tenant has its own");
    assert_eq!(audit.last("t").unwrap(), 4);
    assert_eq!(audit.read("t", 9, 10).unwrap(), []);
}

#[tokio::test]
async fn a_stream_in_memory_has_the_same_hashes() {
    let store = store();
    let (_disk, kept) = store.open();
    let memory = Audit::in_memory(Box::new(|| 7));
    fill(&kept, 3).await;
    fill(&memory, 3).await;
    assert_eq!(kept.read("t", 0, 9).unwrap(), memory.read("t", 0, 9).unwrap());
}

#[tokio::test]
async fn a_record_that_was_changed_removed_or_cut_off_is_found() {
    let store = store();
    let (disk, audit) = store.open();
    fill(&audit, 3).await;
    let (key, whole) = (record_key("t", 2), disk.get(&record_key("t", 2)).unwrap().unwrap());
    let forged = {
        // A forger who mends the checksum still cannot mend the chain.
        let record = Record { number: 2, ..Record::new("nobody", Decision::Joined) };
        let before = audit.read("t", 0, 1).unwrap()[0].hash;
        sealed::seal(&before, &wire::audit::encode(&record)).0
    };
    for (damage, found) in [(None, 2), (Some(forged), 3), (Some(vec![0; 9]), 2)] {
        disk.commit(vec![(key.clone(), damage)]).await.unwrap();
        assert_eq!(audit.read("t", 0, 10).unwrap_err().number, found);
    }
    audit.record("other", Record::new("them", Decision::Denied)).await.unwrap();
    let broken = super::check(&disk).unwrap();
    assert!(broken.len() == 1 && broken[0].contains("record 2"), "{broken:?}");
    disk.commit(vec![(key.clone(), Some(whole.clone()))]).await.unwrap();
    assert_eq!(super::check(&disk).unwrap(), Vec::<String>::new(), "and what is whole is not");
    disk.commit(vec![(key, Some(whole)), (record_key("t", 3), None)]).await.unwrap();
    assert_eq!(audit.read("t", 0, 10).unwrap_err().number, 3, "the end was cut off");
    assert_eq!(super::check(&disk).unwrap().len(), 1);
}
