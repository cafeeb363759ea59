using Kwik.Provider.Tests;
using Kwik.Sessions;

// Two cores, timeouts of a second, and memory that is measured: the tests take turns.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(LoadedLibrary))]

namespace Kwik.Provider.Tests;

/// <summary>Loads the library under test before any test can touch System.Net.Quic.</summary>
public sealed class LoadedLibrary
{
    public QuicLibrary Library { get; } = QuicProvider.EnsureLoaded();
}
