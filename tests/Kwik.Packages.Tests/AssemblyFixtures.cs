using Kwik.Packages.Tests;

[assembly: AssemblyFixture(typeof(PackageFeed))]
