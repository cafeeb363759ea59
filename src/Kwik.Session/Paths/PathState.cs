namespace Kwik.Sessions;

/// <summary>State of a path, as its client sees it.</summary>
public enum PathState
{
    /// <summary>The connection is being made.</summary>
    Connecting,

    /// <summary>Authenticated and answering.</summary>
    Active,

    /// <summary>Lost; nothing is asked of it.</summary>
    Dead,

    /// <summary>Given up or taken away; it does not come back.</summary>
    Removed,
}
