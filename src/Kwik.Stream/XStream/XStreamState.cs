namespace Kwik.Streams;

/// <summary>Where a public stream stands.</summary>
/// <remarks>
/// <code>
///           +--LocalEnd---> LocalClosed ---RemoteEnd--+
///   Open ---+                                         +--> FullyClosed
///           +--RemoteEnd--> RemoteClosed --LocalEnd---+
///
///   Open, LocalClosed, RemoteClosed --Fault--> Error
/// </code>
/// Whatever else happens in a state changes nothing; FullyClosed and Error are final.
/// </remarks>
public enum XStreamState
{
    /// <summary>Both directions are open.</summary>
    Open,

    /// <summary>This side has ended its writing; what the peer sends can be read.</summary>
    LocalClosed,

    /// <summary>The peer has ended its writing, or the stream; what it sent before can be read.</summary>
    RemoteClosed,

    /// <summary>Both have ended, without an error.</summary>
    FullyClosed,

    /// <summary>Either side failed, or said that it did; or the connection is gone.</summary>
    Error,
}

/// <summary>What happens to a public stream.</summary>
internal enum XStreamInput
{
    /// <summary>This side ended its writing, or closed the stream.</summary>
    LocalEnd,

    /// <summary>The peer's end of Main is known, or it closed the stream.</summary>
    RemoteEnd,

    /// <summary>The stream cannot go on.</summary>
    Fault,
}

/// <summary>The transitions, once.</summary>
internal static class XStreamStates
{
    /// <summary>Moves on if the diagram says so; false and no change otherwise.</summary>
    public static bool TryAdvance(ref XStreamState state, XStreamInput input)
    {
        XStreamState? next = (state, input) switch
        {
            (XStreamState.FullyClosed or XStreamState.Error, _) => null,
            (_, XStreamInput.Fault) => XStreamState.Error,
            (XStreamState.Open, XStreamInput.LocalEnd) => XStreamState.LocalClosed,
            (XStreamState.Open, XStreamInput.RemoteEnd) => XStreamState.RemoteClosed,
            (XStreamState.LocalClosed, XStreamInput.RemoteEnd) => XStreamState.FullyClosed,
            (XStreamState.RemoteClosed, XStreamInput.LocalEnd) => XStreamState.FullyClosed,
            _ => null,
        };
        state = next ?? state;
        return next is not null;
    }

    /// <summary>True for the states that nothing leaves.</summary>
    public static bool IsFinal(XStreamState state) => state is XStreamState.FullyClosed or XStreamState.Error;
}
