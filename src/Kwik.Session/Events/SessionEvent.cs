using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>Something that a session found out or did by itself, for an application that wants to know.</summary>
/// <remarks>Events inform; nothing waits for them and nothing changes when nobody reads them.</remarks>
public abstract record SessionEvent;

/// <summary>A path has come into another state.</summary>
/// <param name="Path">The path, as it is now.</param>
/// <param name="Before">The state that it left.</param>
public sealed record PathStateChanged(PathInfo Path, PathState Before) : SessionEvent;

/// <summary>Raw data that this side sent was dropped on its way.</summary>
/// <param name="PathId">The path that it was sent on.</param>
/// <param name="Id">What the sending call returned.</param>
/// <param name="Error">Why.</param>
public sealed record RawDataDropped(int PathId, long Id, KwikError Error) : SessionEvent;
