//! Forms of values in documents: shared values as plain ones, maps as lists of pairs, prefixes as
//! text. For `#[serde(with = "...")]`.

/// A shared value as the value itself.
pub(super) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::steer::model) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(in crate::steer::model) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// A list of shared values as a list of the values themselves.
pub(super) mod shared_list {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::steer::model) fn serialize<T: Serialize, S: Serializer>(
        list: &[Arc<T>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|value| &**value))
    }

    pub(in crate::steer::model) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<T>>, D::Error> {
        Ok(Vec::<T>::deserialize(deserializer)?.into_iter().map(Arc::new).collect())
    }
}

/// A map as a list of pairs: its keys are not texts.
pub(super) mod entries {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::steer::model) fn serialize<'m, M, K, V, S>(
        map: &'m M,
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        &'m M: IntoIterator<Item = (&'m K, &'m V)>,
        K: Serialize + 'm,
        V: Serialize + 'm,
        S: Serializer,
    {
        serializer.collect_seq(map)
    }

    pub(in crate::steer::model) fn deserialize<'de, M, K, V, D>(
        deserializer: D,
    ) -> Result<M, D::Error>
    where
        M: FromIterator<(K, V)> + IntoIterator<Item = (K, V)>,
        K: Deserialize<'de>,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// The weights of pools as a list of pairs.
pub(super) mod weights {
    use std::{collections::HashMap, sync::Arc};

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::steer::model::PoolId;

    pub(in crate::steer::model) fn serialize<S: Serializer>(
        weights: &HashMap<PoolId, Arc<[u32]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(weights.iter().map(|(pool, weights)| (pool, &**weights)))
    }

    pub(in crate::steer::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HashMap<PoolId, Arc<[u32]>>, D::Error> {
        let pairs = Vec::<(PoolId, Vec<u32>)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(pool, weights)| (pool, weights.into())).collect())
    }
}

/// Prefixes in the form `192.0.2.0/24`.
pub(super) mod prefixes {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::steer::model) fn serialize<S: Serializer>(
        prefixes: &[IpNet],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(prefixes.iter().map(ToString::to_string))
    }

    pub(in crate::steer::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}
