//! Normalizations: one scale and one shift per channel.
use super::Site;

impl Site<'_> {
    pub(super) fn batch_normalization(&mut self) {
        // `spatial` 0, gone since operator set 9, normalizes every element by itself.
        if self.int("spatial").is_some_and(|spatial| spatial == 0) {
            return;
        }
        let channels = match self.rank(0) {
            Some(0 | 1) => Some(1),
            _ => self.dim(0, 1),
        };
        let Some(channels) = channels.or(self.dim(1, 0)) else { return };
        for slot in 1..=4 {
            self.vector(slot, channels, "channel");
        }
    }

    pub(super) fn instance_normalization(&mut self) {
        let Some(channels) = self.dim(0, 1).or(self.dim(1, 0)) else { return };
        self.vector(1, channels, "channel");
        self.vector(2, channels, "channel");
    }

    pub(super) fn group_normalization(&mut self) {
        let Some(groups) = self.node.int("num_groups") else { return };
        if groups < 1 {
            self.fault(format!("num_groups is {groups}, expected 1 or more"));
            return;
        }
        let channels = self.dim(0, 1);
        if let Some(channels) = channels
            && channels % groups != 0
        {
            let operand = self.operand(0);
            self.fault(format!(
                "{operand} has {channels} channels, expected a multiple of the {groups} groups"
            ));
        }
        // Until operator set 21, scale and shift were per group.
        let (count, each) =
            if self.opset < 21 { (Some(groups), "group") } else { (channels, "channel") };
        let Some(count) = count.or(self.dim(1, 0)) else { return };
        self.vector(1, count, each);
        self.vector(2, count, each);
    }
}
